import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createElapsedClock } from '../../../src/platform/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startNode } from '../../support/node.ts'
import { redisUrl } from '../../support/redis.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const env = {
  NODE_ENV: 'test',
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  ...(process.env.TEST_REDIS_INCARNATION ? { REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION } : {}),
  BREACHED_PASSWORDS_URL: 'off',
}
// Longer than the second within which every node has to know an ended session.
const STANDSTILL_MS = 1_500

/** What a node answers that stands still while `happens`, to requests that arrive before it goes on. */
async function answersAfter(
  t: Test,
  server: TestServer,
  bearers: readonly string[],
  happens: () => Promise<unknown>,
  clock: Record<string, string> = {},
): Promise<number[]> {
  const node = await startNode({ databaseUrl: server.databaseUrl, redisUrl, env: { ...env, ...clock } })
  t.teardown(node.stop)
  const me = async (bearer: string) =>
    (await fetch(`${node.url}/me`, { headers: { authorization: `Bearer ${bearer}` } })).status
  for (const bearer of bearers) t.equal(await me(bearer), 200, 'before, the node accepts it')
  node.freeze()
  await happens()
  await delay(STANDSTILL_MS)
  const answers = bearers.map(me)
  node.thaw()
  return Promise.all(answers)
}

for (const [what, clock] of Object.entries({
  'whose clock goes on meanwhile': {},
  'whose monotonic clock stands still too': { CLOCK_STANDS_STILL: 'true' },
})) {
  t.test(`after a standstill, a node ${what} accepts no token of a session that ended in it`, async (t) => {
    const server = await startServer(t)
    const [ended, kept] = [
      await server.login(await server.createAccount()),
      await server.login(await server.createAccount()),
    ]
    const tokens = [ended.access_token, kept.access_token]
    const end = async () =>
      t.equal((await server.call('POST', '/auth/logout', { bearer: ended.access_token })).status, 204)
    t.strictSame(await answersAfter(t, server, tokens, end, clock), [401, 200])
  })
}

t.test('after a standstill, a node accepts no token of a key that was deleted in it', async (t) => {
  const server = await startServer(t)
  const { access_token: bearer } = await server.login(await server.createAccount())
  const statuses = await answersAfter(t, server, [bearer], () => server.db.signingKey.deleteMany())
  t.strictSame(statuses, [401])
})

t.test('after a standstill without Postgres, a node accepts no token', async (t) => {
  const server = await startServer(t)
  const { access_token: bearer } = await server.login(await server.createAccount())
  const node = await startNode({ databaseUrl: server.databaseUrl, redisUrl, env })
  t.teardown(node.stop)
  const me = async () =>
    (await fetch(`${node.url}/me`, { headers: { authorization: `Bearer ${bearer}` } })).status
  t.equal(await me(), 200)
  node.freeze()
  node.proxies.postgres.cut()
  node.proxies.redis.cut()
  await delay(STANDSTILL_MS)
  const answer = me()
  node.thaw()
  t.equal(await answer, 503)
  await Promise.all([node.proxies.postgres.heal(), node.proxies.redis.heal()])
  await eventually(async () => (await me()) === 200)
})

t.test('the elapsed time counts what either clock counts', (t) => {
  let [monotonic, wall] = [5_000, 1_000_000]
  const clock = createElapsedClock({ now: () => monotonic }, { now: () => wall })
  const began = clock.now()
  const pass = (ofMonotonic: number, ofWall: number) => {
    monotonic += ofMonotonic
    wall += ofWall
    return clock.now() - began
  }
  t.equal(pass(100, 100), 100)
  t.equal(pass(10, 60_010), 60_110, 'the monotonic clock stood still for a minute')
  t.equal(pass(100, -3_600_000), 60_210, 'the time was set back')
  t.equal(pass(0, 30_000), 90_210, 'and then the monotonic clock stood still again')
  t.equal(pass(1_000, 990), 91_210, 'the time is adjusted')
  t.end()
})
