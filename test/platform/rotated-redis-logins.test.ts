import t, { type Test } from 'tap'
import { makeCertificates, noOpenssl } from '../support/certificates.ts'
import { becomes } from '../support/eventually.ts'
import { rotate } from '../support/failover.ts'
import { noRedis, PASSWORD, type RedisServer, startRedisServer } from '../support/redis-servers.ts'
import { startCluster, startSentinels } from '../support/redis-topologies.ts'
import { createSecretManager } from '../support/secrets-command.ts'
import { startServer } from '../support/server.ts'

const RIGHTS = ['on', '~*', '&*', '+@all']
const [FIRST, SECOND, THIRD] = ['the-first', 'the%2Fsecond', 'the-third'] as const

/** Gives the user of the server this password, as it is in a URL, and ends its connections. */
async function setPassword(servers: readonly RedisServer[], password: string): Promise<void> {
  for (const { client } of servers) {
    await client.call('ACL', 'SETUSER', 'ratchet', 'resetpass', `>${decodeURIComponent(password)}`, ...RIGHTS)
    await client.call('CLIENT', 'KILL', 'USER', 'ratchet')
  }
}

/** A server whose user and password of Redis come from a command; `url` has a password in it. */
async function startRotated(t: Test, url: (password: string) => string, env: Record<string, string> = {}) {
  const manager = createSecretManager(t, { REDIS_URL: url(FIRST) })
  const server = await startServer(t, {
    env: { ...env, REDIS_URL: url(FIRST), SECRETS_COMMAND: manager.command },
  })
  const readiness = async () => (await server.call('GET', '/readyz')).body.status
  const replaced = () =>
    server.logs.map((line) => JSON.parse(line)).filter(({ event }) => event === 'login_replaced')
  return { manager, server, readiness, replaced }
}

/** A session goes on over two rotations. */
async function goesOn(
  t: Test,
  servers: readonly RedisServer[],
  started: Awaited<ReturnType<typeof startRotated>>,
  url: (password: string) => string,
) {
  const { manager, server, readiness, replaced } = started
  const { refresh_token } = await server.login(await server.createAccount())
  let token = await rotate(server, refresh_token)
  t.equal(manager.runs(), 0, 'nothing is read while all is well')
  for (const [index, password] of [SECOND, THIRD].entries()) {
    manager.set({ REDIS_URL: url(password) })
    await setPassword(servers, password)
    await becomes(t, () => replaced().length === index + 1, 'the login is replaced, once for all connections')
    await becomes(t, async () => (await readiness()) === 'ready', 'Redis is available again')
    token = await rotate(server, token)
  }
  t.match(replaced(), [{ store: 'redis' }, { store: 'redis' }])
  for (const secret of [FIRST, SECOND, THIRD, PASSWORD]) t.notMatch(server.logs.join(''), secret)
}

t.test('a password of Redis is replaced while a node runs', { skip: noRedis }, async (t) => {
  await t.test('one server', async (t) => {
    const redis = await startRedisServer(t)
    await setPassword([redis], FIRST)
    const url = (password: string) => `redis://ratchet:${password}@127.0.0.1:${redis.port}`
    await goesOn(t, [redis], await startRotated(t, url), url)
  })

  await t.test(
    'a password that stays wrong makes Redis unavailable, and is not read again and again',
    async (t) => {
      const redis = await startRedisServer(t)
      await setPassword([redis], FIRST)
      const url = (password: string) => `redis://ratchet:${password}@127.0.0.1:${redis.port}`
      const { manager, server, readiness } = await startRotated(t, url)
      const { refresh_token } = await server.login(await server.createAccount())
      await setPassword([redis], SECOND)
      await becomes(t, async () => (await readiness()) === 'degraded', 'Redis refuses the password')
      let token = refresh_token
      for (let round = 0; round < 20; round += 1) token = await rotate(server, token)
      t.ok(manager.runs() < 12, `the command ran ${manager.runs()} times`)
      manager.set({ REDIS_URL: url(SECOND) })
      await becomes(t, async () => (await readiness()) === 'ready', 'the right password is found by itself')
    },
  )

  await t.test('a password that is required from now on', async (t) => {
    const redis = await startRedisServer(t)
    await redis.client.call('ACL', 'SETUSER', 'default', 'nopass')
    const url = (password: string) =>
      `redis://${password === FIRST ? '' : `:${password}@`}127.0.0.1:${redis.port}`
    const { manager, readiness } = await startRotated(t, url)
    t.equal(await readiness(), 'ready')
    manager.set({ REDIS_URL: url(THIRD) })
    await redis.client.call('ACL', 'SETUSER', 'default', 'resetpass', `>${THIRD}`)
    await redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await becomes(t, async () => manager.runs() > 0 && (await readiness()) === 'ready', 'it is found')
  })

  await t.test('a cluster with TLS', { skip: noOpenssl }, async (t) => {
    const tls = await makeCertificates(t)
    const cluster = await startCluster(t, { replicas: false, tls })
    await setPassword(cluster.nodes, FIRST)
    const url = (password: string) => cluster.url.replace(`:${PASSWORD}@`, `ratchet:${password}@`)
    const started = await startRotated(t, url, { REDIS_CA: tls.caFile })
    await goesOn(t, cluster.nodes, started, url)
  })

  await t.test('a master behind sentinels, whose password is replaced too', async (t) => {
    const set = await startSentinels(t, { replicas: 0, sentinels: 1 })
    await setPassword(set.servers, FIRST)
    const url = (password: string) =>
      set.url
        .replace(`:${PASSWORD}@`, `ratchet:${password}@`)
        .replace(`=${PASSWORD}`, `=${password === THIRD ? SECOND : PASSWORD}`)
    const started = await startRotated(t, url)
    const { manager, readiness, replaced } = started
    manager.set({ REDIS_URL: url(SECOND) })
    await setPassword(set.servers, SECOND)
    await becomes(t, () => replaced().length === 1, 'the login of the master is replaced')
    await becomes(t, async () => (await readiness()) === 'ready', 'it is available again')

    manager.set({ REDIS_URL: url(THIRD) })
    for (const { client } of set.sentinels) {
      await client.call('ACL', 'SETUSER', 'default', 'resetpass', `>${decodeURIComponent(SECOND)}`)
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    }
    await setPassword(set.servers, THIRD)
    await becomes(t, () => replaced().length === 2, 'that of the sentinel and the master are replaced')
    await becomes(t, async () => (await readiness()) === 'ready', 'it is available again')
  })
})
