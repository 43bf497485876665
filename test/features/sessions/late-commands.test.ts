import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { afterStatement } from '../../support/costs.ts'
import { eventually } from '../../support/eventually.ts'
import { createFaultProxy } from '../../support/fault-proxy.ts'
import { redisUrl } from '../../support/redis.ts'
import { startServer } from '../../support/server.ts'

const GRACE_MS = 1_000
// The longest time after sending in which Redis may execute a command.
const COMMAND_MS = 1_000
// A command that a node has given up may still arrive: TCP resends it until a partition is over.
const env = { REFRESH_GRACE: '1' }

/** Two nodes on the same stores, the first behind a proxy in front of Redis. */
async function setUp(t: Test) {
  const proxy = await createFaultProxy({ target: redisUrl })
  t.teardown(() => proxy.close())
  const near = await startServer(t, { storesFail: true, env })
  const far = await startServer(t, {
    storesFail: true,
    env: { ...env, REDIS_URL: proxy.url },
    databaseUrl: near.databaseUrl,
  })
  const session = await near.login(await near.createAccount())
  const refresh = (server: typeof near, refresh_token: string, key?: string) =>
    server.post('/auth/refresh', { refresh_token }, { headers: key ? { 'idempotency-key': key } : {} })
  const warm = await refresh(far, session.refresh_token)

  /** Resolves once the far node has sent a command about the family. */
  const sent = () => eventually(() => proxy.held.includes('rt:{'))
  /** Resolves once Redis may no longer execute that command. */
  async function tooLate(): Promise<void> {
    const now = async () => Number((await near.redis.time())[0]) * 1_000
    const deadline = (await now()) + COMMAND_MS
    await eventually(async () => (await now()) > deadline)
  }
  /** Delivers the delayed commands; Redis has processed them once it has answered two later ones. */
  async function arrive(): Promise<void> {
    await proxy.heal()
    for (let call = 0; call < 2; call += 1) await near.redis.ping()
  }
  return { proxy, near, far, refresh, token: warm.body.refresh_token as string, sent, tooLate, arrive }
}

t.test(
  'a command that reaches Redis late, after another node served its client, ends no session',
  async (t) => {
    const { proxy, near, far, refresh, token, sent, tooLate, arrive } = await setUp(t)
    proxy.stall()
    const lost = refresh(far, token)
    await sent()
    // The client gives up on the silent node and asks the other one, well inside the grace window.
    const retried = await refresh(near, token)
    t.equal(retried.status, 200)
    await tooLate()
    await lost
    await near.age(GRACE_MS)
    await arrive()
    t.equal((await refresh(near, retried.body.refresh_token)).status, 200, 'the client is still signed in')
  },
)

t.test('the same with an Idempotency-Key, after the client has refreshed twice', async (t) => {
  const { proxy, near, far, refresh, token, sent, tooLate, arrive } = await setUp(t)
  proxy.stall()
  const key = randomUUID()
  const lost = refresh(far, token, key)
  await sent()
  const retried = await refresh(near, token, key)
  const next = await refresh(near, retried.body.refresh_token, randomUUID())
  t.equal(next.status, 200)
  await tooLate()
  await lost
  await near.age(GRACE_MS)
  await arrive()
  t.equal(
    (await refresh(near, next.body.refresh_token, randomUUID())).status,
    200,
    'the client is still signed in',
  )
})

t.test('a mark that reaches Redis late does not restore an ended session', async (t) => {
  const proxy = await createFaultProxy({ target: redisUrl })
  t.teardown(() => proxy.close())
  const near = await startServer(t, { storesFail: true })
  const far = await startServer(t, {
    storesFail: true,
    env: { REDIS_URL: proxy.url },
    databaseUrl: near.databaseUrl,
  })
  const account = await near.createAccount()
  await far.login(account)
  proxy.delay(250)
  const { refresh_token: token } = await far.login(account)
  t.equal((await near.post('/auth/logout', { refresh_token: token })).status, 204)
  await near.forgetFamily(token)
  // Once the far node's later commands have been answered, so has the mark.
  await far.app.services.redis.ping()
  await far.app.services.redis.ping()
  t.equal(await near.knowsFamily(token), false)
  t.match((await near.post('/auth/refresh', { refresh_token: token })).body, { code: 'session_ended' })
})

t.test('a merge that reaches Redis late does not restore an ended session', async (t) => {
  const { proxy, near, far, refresh, token, sent, tooLate, arrive } = await setUp(t)
  await near.redis.flushdb()
  await near.app.services.sessions.flush()
  // The far node reads a live family from the ledger; its merge is delayed on the way to Redis.
  let reads = 0
  afterStatement(t, 'account.roles', () => {
    reads += 1
    if (reads === 1) proxy.stall()
  })
  const lost = refresh(far, token)
  await sent()
  t.equal(reads, 1)
  const ended = await near.post('/auth/logout', { refresh_token: token })
  t.equal(ended.status, 204)
  await near.redis.flushdb()
  await tooLate()
  await lost
  await arrive()
  t.match((await refresh(near, token)).body, { code: 'session_ended' })
})
