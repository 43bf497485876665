import t from 'tap'
import { until } from '../support/eventually.ts'
import { insist, keyOfFamily, refresh, rotate, survives } from '../support/failover.ts'
import { noRedis, type RedisServer } from '../support/redis-servers.ts'
import { cutOff, reunite, says, startCluster } from '../support/redis-topologies.ts'
import { startServer, type TestServer } from '../support/server.ts'

t.test('Redis Cluster', { skip: noRedis }, async (t) => {
  const cluster = await startCluster(t, { replicas: true })
  const env = { REDIS_URL: cluster.url }
  const server = await startServer(t, { storesFail: true, env })
  const account = await server.createAccount()
  const masters = cluster.nodes.slice(0, 3)

  t.test('a cluster serves everything that one server serves, with sessions on every master', async (t) => {
    const sessions = await Promise.all(Array.from({ length: 30 }, () => server.login(account)))
    const rotated = await Promise.all(sessions.map((session) => rotate(server, session.refresh_token)))
    for (const { client } of masters) t.ok((await client.dbsize()) > 0, 'this master has sessions')
    const [first, second] = sessions as [(typeof sessions)[0], (typeof sessions)[0]]
    t.equal((await server.call('POST', '/auth/logout', { bearer: first.access_token })).status, 204)
    t.match((await refresh(server, rotated[0] as string)).body, { code: 'session_ended', reason: 'logout' })

    const out = await server.call('POST', '/auth/logout-all', { bearer: second.access_token })
    t.equal(out.status, 204)
    for (const token of rotated.slice(1)) {
      t.match((await refresh(server, token)).body, { code: 'session_ended', reason: 'logout_all' })
    }
    t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
  })

  t.test('rate limits are counted for all nodes together', async (t) => {
    const options = { databaseUrl: server.databaseUrl, env: { ...env, RATE_LIMITS: 'true' } }
    const nodes = await Promise.all([startServer(t, options), startServer(t, options)])
    const attempt = () => ({ email: server.freshEmail(), password: 'whatever it is' })
    const answers = await Promise.all(
      nodes.flatMap((node) => Array.from({ length: 20 }, () => node.post('/auth/login', attempt()))),
    )
    t.equal(answers.filter(({ status }) => status === 401).length, 30)
    t.equal(answers.filter(({ status }) => status === 429).length, 10)
  })

  t.test('scripts that the masters no longer have are sent again', async (t) => {
    const sessions = await Promise.all(Array.from({ length: 9 }, () => server.login(account)))
    const rotated = await Promise.all(sessions.map((session) => rotate(server, session.refresh_token)))
    await Promise.all(masters.map(({ client }) => client.script('FLUSH')))
    t.same(
      (await Promise.all(rotated.map((token) => refresh(server, token)))).map(({ status }) => status),
      Array(9).fill(200),
    )
    await Promise.all(masters.map(({ client }) => client.script('FLUSH')))
    const bearer = sessions[0]?.access_token as string
    t.equal((await server.call('POST', '/auth/logout-all', { bearer })).status, 204)
  })

  t.test('a master that was replaced and promoted again does not restore ended sessions', async (t) => {
    const { master, replica, sessions } = await shard(server)
    const [ended, robbed] = sessions as [(typeof sessions)[0], (typeof sessions)[0]]
    const token = await rotate(server, ended.refresh_token)
    const stolen = await rotate(server, robbed.refresh_token)
    await cutOff(master, replica)
    t.equal((await server.call('POST', '/auth/logout', { bearer: ended.access_token })).status, 204)
    await rotate(server, await rotate(server, stolen))
    await server.app.services.sessions.flush()
    const strict = await startServer(t, {
      storesFail: true,
      databaseUrl: server.databaseUrl,
      env: { ...env, REFRESH_GRACE: '0' },
    })
    await replica.client.cluster('FAILOVER', 'TAKEOVER')
    await until('the old master follows', () => says(master, 'master_link_status:up'))
    await master.client.cluster('FAILOVER', 'TAKEOVER')
    await until('it is master again', () => says(master, 'role:master'))
    t.match((await insist(server, token)).body, { code: 'session_ended', reason: 'logout' })
    t.match((await insist(strict, stolen)).body, { code: 'session_ended', reason: 'reuse_detected' })
    await reunite(master, replica)
  })

  t.test('a master is killed while its replica lags behind', async (t) => {
    const { master, replica, sessions } = await shard(server)
    await survives(t, server, cluster.url, {
      sessions,
      lag: () => cutOff(master, replica),
      leave: () => master.kill(),
    })
    await master.start()
    await cluster.whole()
  })

  t.test('a master hangs', async (t) => {
    const { master, replica, sessions } = await shard(server)
    await survives(t, server, cluster.url, {
      sessions,
      lag: () => cutOff(master, replica),
      leave: async () => master.pause(),
    })
    await until('its replica takes over', async () =>
      /role:master/.test(await replica.client.info('replication')),
    )
    master.resume()
    await reunite(master, replica)
  })

  t.test('all nodes are killed and come back empty', async (t) => {
    const session = await server.login(account)
    const token = await rotate(server, session.refresh_token)
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    t.equal((await server.call('GET', '/readyz')).body.status, 'degraded')
    t.equal((await server.call('GET', '/me', { bearer: session.access_token })).status, 200)
    const starting = startServer(t, { storesFail: true, databaseUrl: server.databaseUrl, env })
    await Promise.all(cluster.nodes.map((node) => node.start()))
    t.equal((await insist(server, token)).status, 200)
    const late = await starting
    await until('ready', async () => (await late.call('GET', '/readyz')).body.status === 'ready')
  })

  /** A master with a replica in sync, and four or more new sessions on it. */
  async function shard(server: TestServer) {
    await cluster.whole()
    const sessions = await Promise.all(Array.from({ length: 12 }, () => server.login(account)))
    const shards = new Map<
      RedisServer,
      { master: RedisServer; replica: RedisServer; sessions: typeof sessions }
    >()
    for (const session of sessions) {
      const { master, replica } = await cluster.holdersOf(await keyOfFamily(server, session))
      const shard = shards.get(master) ?? { master, replica, sessions: [] }
      shard.sessions.push(session)
      shards.set(master, shard)
    }
    const largest = [...shards.values()].sort((a, b) => b.sessions.length - a.sessions.length)[0]
    return largest as NonNullable<typeof largest>
  }
})
