import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { createRevocationFeed, type RevocationFeedDeps } from '../../../src/core/sessions/revocation-feed.ts'
import { startRedis } from '../../../src/dev/embedded/redis.ts'
import { eventually } from '../../support/eventually.ts'
import { silentMetrics } from '../../support/monitor.ts'
import { movableClock, startServer, type TestServer } from '../../support/server.ts'

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false

const me = async (server: TestServer, bearer: string) => (await server.call('GET', '/me', { bearer })).status

/** Checks that no node accepts the token a second after the revocation, and that each finally refuses it. */
async function refusedEverywhere(t: Test, what: string, nodes: readonly TestServer[], bearer: string) {
  const ended = performance.now()
  let accepted = 0
  const refuses = async (node: TestServer) => {
    const late = performance.now() - ended > 1_000
    const status = await me(node, bearer)
    if (late && status === 200) accepted += 1
    return status === 401
  }
  await Promise.all(nodes.map((node) => eventually(() => refuses(node))))
  t.equal(accepted, 0, `${what}: no node accepts it after a second`)
}

t.test(
  'every node refuses an ended session within a second, even if one store fails',
  { skip },
  async (t) => {
    const first = await startServer(t)
    const nodes = [first]
    for (let index = 0; index < 2; index += 1) {
      nodes.push(await startServer(t, { databaseUrl: first.databaseUrl, proxies: true }))
    }
    const [, second, third] = nodes as [TestServer, TestServer, TestServer]
    const account = await first.createAccount()

    async function endAndExpectRefusal(what: string): Promise<void> {
      const { access_token: bearer } = await first.login(account)
      for (const node of nodes) t.equal(await me(node, bearer), 200, `${what}: every node accepts it`)
      t.equal((await first.call('POST', '/auth/logout', { bearer })).status, 204)
      await refusedEverywhere(t, what, nodes, bearer)
    }
    await endAndExpectRefusal('both stores available')
    second.proxies.redis.cut()
    third.proxies.redis.hang()
    await endAndExpectRefusal('no stream')
    await Promise.all([second.proxies.redis.heal(), third.proxies.redis.heal()])
    await endAndExpectRefusal('the stream is available again')
    await first.redis.flushdb()
    await endAndExpectRefusal('the stream was emptied')

    const { access_token: bearer } = await first.login(account)
    for (const node of [second, third]) await me(node, bearer)
    second.proxies.postgres.cut()
    third.proxies.postgres.hang()
    t.equal((await first.call('POST', '/auth/logout', { bearer })).status, 204)
    await refusedEverywhere(t, 'no ledger: through the stream', nodes, bearer)
    for (const node of [second, third]) await node.proxies.postgres.heal()
  },
)

t.test('a node that starts knows the sessions that ended before', async (t) => {
  const first = await startServer(t)
  const account = await first.createAccount()
  const ended = await Promise.all(Array.from({ length: 5 }, () => first.login(account)))
  const kept = await first.login(await first.createAccount())
  t.equal(
    (await first.call('POST', '/auth/logout-all', { bearer: ended[0]?.access_token as string })).status,
    204,
  )
  const second = await startServer(t, { databaseUrl: first.databaseUrl })
  for (const { access_token: bearer } of ended) t.equal(await me(second, bearer), 401)
  t.equal(await me(second, kept.access_token), 200)
})

t.test('a shorter lifetime of access tokens brings no ended session back', async (t) => {
  const first = await startServer(t)
  const account = await first.createAccount()
  const { access_token: bearer, session } = await first.login(account)
  const { access_token: kept } = await first.login(account)
  t.equal((await first.call('POST', '/auth/logout', { bearer })).status, 204)
  // Longer ago than the shorter lifetime, but the token was made with the longer one.
  await first.db.$executeRaw`UPDATE sessions SET ended_at = ended_at - interval '9 minutes'
    WHERE id = ${session.id}::uuid`
  const env = { ACCESS_TOKEN_TTL: '10' }
  const second = await startServer(t, { databaseUrl: first.databaseUrl, env })
  t.equal(await me(second, bearer), 401, 'a node that starts with the shorter one refuses it')
  t.equal(await me(second, kept), 200, 'tokens of live sessions are accepted')
  await second.redis.flushdb()
  for (let look = 0; look < 20; look += 1) t.equal(await me(second, bearer), 401, 'also without its stream')
  const short = await second.login(account)
  t.equal(await me(first, short.access_token), 200, 'both versions accept each other')
})

t.test('a clock that is set ahead and back makes a node forget nothing', async (t) => {
  const clock = movableClock()
  const server = await startServer(t, { clock })
  const account = await server.createAccount()
  const [{ access_token: bearer }, { access_token: another }] = [
    await server.login(account),
    await server.login(account),
  ]
  t.equal((await server.call('POST', '/auth/logout', { bearer })).status, 204)
  t.equal(await me(server, bearer), 401)
  clock.advance(3_600_000)
  // What is remembered is cleared up when something is added.
  t.equal((await server.call('POST', '/auth/logout', { bearer: another })).status, 204)
  clock.advance(-3_600_000)
  t.equal(await me(server, bearer), 401)
})

t.test('a node whose clock is wrong does not delete what others have yet to read', async (t) => {
  const server = await startServer(t)
  const stream = 'ratchet:revocations'
  const earlier = await server.redis.xadd(stream, '*', 'sid', 'from another node')
  // Redis deletes entries by the hundred.
  for (let index = 0; index < 250; index += 1)
    await server.redis.xadd(stream, '*', 'sid', 'from another node')
  const { now } = Date
  Date.now = () => now() + 86_400_000
  t.teardown(() => {
    Date.now = now
  })
  const { access_token: bearer } = await server.login(await server.createAccount())
  t.equal((await server.call('POST', '/auth/logout', { bearer })).status, 204)
  t.equal((await server.redis.xrange(stream, earlier as string, earlier as string)).length, 1)
})

t.test('an unreadable stream is logged once, and again when it can be read', async (t) => {
  let unavailable = true
  let reads = 0
  const redis = {
    async xrevrange() {
      reads += 1
      if (unavailable) throw new Error('redis is unavailable')
      return [['1-1', []]]
    },
    eval: async () => ['incarnation', 1],
    xread: () => delay(1).then(() => null),
  }
  const logged: unknown[][] = []
  const feed = createRevocationFeed({
    db: { $queryRaw: async () => [] },
    poll: { ask() {} },
    redisBreaker: { isOpen: false },
    reader: { redis, close() {} },
    revoked: { addSession() {} },
    keepMs: 60_000,
    metrics: silentMetrics,
    log: {
      warn: (details: object, message: string) => logged.push(['warn', details, message]),
      info: (details: object, message: string) => logged.push(['info', details, message]),
    },
  } as unknown as RevocationFeedDeps)
  await feed.start()
  t.teardown(() => feed.stop())
  await eventually(() => logged.length > 0)
  const [, { failures }] = logged[0] as [string, { failures: number }]
  const lost = [
    'warn',
    { task: 'revocation_stream', failures, reason: 'redis is unavailable' },
    'the stream of revocations cannot be read',
  ]
  const found = ['info', { task: 'revocation_stream' }, 'the stream of revocations is read again']
  await eventually(() => reads > 3)
  t.strictSame(logged, [lost])
  unavailable = false
  await eventually(() => logged.length > 1)
  t.strictSame(logged, [lost, found])
})

t.test(
  'a node that missed revocations reads them from the ledger before it trusts the stream again',
  { skip },
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const env = { REDIS_URL: redis.url }
    const first = await startServer(t, { env })
    const second = await startServer(t, { databaseUrl: first.databaseUrl, env, proxies: true })
    const account = await first.createAccount()
    const { access_token: bearer } = await first.login(account)
    t.equal(await me(second, bearer), 200)
    second.proxies.redis.hang()
    second.proxies.postgres.hang()
    t.equal((await first.call('POST', '/auth/logout', { bearer })).status, 204)
    await eventually(async () => (await me(second, bearer)) === 503)
    // Only the stream is back, and it no longer contains what this node missed: it proves nothing yet.
    const stream = new Redis(redis.url)
    t.teardown(() => stream.disconnect())
    t.ok(await stream.xtrim('ratchet:revocations', 'MAXLEN', 0))
    await second.proxies.redis.heal()
    for (let look = 0; look < 20; look += 1)
      t.equal(await me(second, bearer), 503, 'the stream alone is not trusted')
    await second.proxies.postgres.heal()
    await eventually(async () => (await me(second, bearer)) === 401)
  },
)
