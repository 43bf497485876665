import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { createRevocationFeed, type RevocationFeedDeps } from '../../../src/core/sessions/revocation-feed.ts'
import { startRedis } from '../../../src/dev/embedded/redis.ts'
import { eventually } from '../../support/eventually.ts'
import { silentMetrics } from '../../support/monitor.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false

const me = async (server: TestServer, bearer: string) => (await server.call('GET', '/me', { bearer })).status

/** A second after an acknowledged ending no node accepts the access token any more; each refuses it in the end. */
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
  t.equal(accepted, 0, `${what}: nowhere accepted after a second`)
}

t.test(
  'every node refuses an ended session within a second, whichever store fails it',
  { skip },
  async (t) => {
    const first = await startServer(t)
    const nodes = [first]
    for (let index = 0; index < 2; index += 1) {
      nodes.push(await startServer(t, { databaseUrl: first.databaseUrl, proxies: true }))
    }
    const [, second, third] = nodes as [TestServer, TestServer, TestServer]
    const account = await first.createAccount()

    async function endAndWatch(what: string): Promise<void> {
      const { access_token: bearer } = await first.login(account)
      for (const node of nodes) t.equal(await me(node, bearer), 200, `${what}: accepted everywhere`)
      t.equal((await first.call('POST', '/auth/logout', { bearer })).status, 204)
      await refusedEverywhere(t, what, nodes, bearer)
    }
    await endAndWatch('both stores there')
    second.proxies.redis.cut()
    third.proxies.redis.hang()
    await endAndWatch('no stream')
    await Promise.all([second.proxies.redis.heal(), third.proxies.redis.heal()])
    await endAndWatch('the stream is back')
    await first.redis.flushdb()
    await endAndWatch('the stream was emptied')

    const { access_token: bearer } = await first.login(account)
    for (const node of [second, third]) await me(node, bearer)
    second.proxies.postgres.cut()
    third.proxies.postgres.hang()
    t.equal((await first.call('POST', '/auth/logout', { bearer })).status, 204)
    await refusedEverywhere(t, 'no ledger: through the stream', nodes, bearer)
    for (const node of [second, third]) await node.proxies.postgres.heal()
  },
)

t.test('a node that starts knows what ended before', async (t) => {
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

t.test('a stream that cannot be read is logged when that begins and when it ends', async (t) => {
  let away = true
  let reads = 0
  const redis = {
    async xrevrange() {
      reads += 1
      if (away) throw new Error('redis is away')
      return [['1-1', []]]
    },
    eval: async () => ['incarnation', 1],
    xread: () => delay(1).then(() => null),
  }
  const logged: unknown[][] = []
  const feed = createRevocationFeed({
    db: { $queryRaw: async () => [] },
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
  const lost = ['warn', { reason: 'redis is away' }, 'the stream of revocations cannot be read']
  const found = ['info', {}, 'the stream of revocations is read again']
  await eventually(() => reads > 3)
  t.strictSame(logged, [lost])
  away = false
  await eventually(() => logged.length > 1)
  t.strictSame(logged, [lost, found])
})

t.test(
  'a gap: what ended while a node was deaf is known before it believes the stream again',
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
    // Only the stream is back, and what this node has missed is no longer in it: it proves nothing yet.
    const stream = new Redis(redis.url)
    t.teardown(() => stream.disconnect())
    t.ok(await stream.xtrim('ratchet:revocations', 'MAXLEN', 0))
    await second.proxies.redis.heal()
    for (let look = 0; look < 20; look += 1) t.equal(await me(second, bearer), 503, 'not believed')
    await second.proxies.postgres.heal()
    await eventually(async () => (await me(second, bearer)) === 401)
  },
)
