import t from 'tap'
import { until } from '../support/eventually.ts'
import { insist, refresh, rotate, survives } from '../support/failover.ts'
import { noRedis, type RedisServer } from '../support/redis-servers.ts'
import { cutOff, reunite, startSentinels } from '../support/redis-topologies.ts'
import { startServer } from '../support/server.ts'

t.test('Redis Sentinel', { skip: noRedis }, async (t) => {
  const set = await startSentinels(t, { replicas: 1, sentinels: 3 })
  const server = await startServer(t, { storesFail: true, env: { REDIS_URL: set.url } })
  const account = await server.createAccount()
  const login = () => Promise.all(Array.from({ length: 5 }, () => server.login(account)))
  async function pair() {
    await set.settled()
    const master = await set.master()
    return { master, replica: set.servers.find((candidate) => candidate !== master) as RedisServer }
  }

  await t.test('the master is found, and serves', async (t) => {
    const [session, other] = await login()
    const token = await rotate(server, session?.refresh_token as string)
    t.ok((await (await set.master()).client.dbsize()) > 0)
    t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
    const out = await server.call('POST', '/auth/logout-all', { bearer: other?.access_token as string })
    t.equal(out.status, 204)
    t.match((await refresh(server, token)).body, { code: 'session_ended', reason: 'logout_all' })
  })

  // The first master's process keeps running while another is master; the second test promotes it again.
  const sessions = await login()
  const [ended] = await login()
  const token = await rotate(server, ended?.refresh_token as string)

  t.test('a master hangs while its replica lags behind', async (t) => {
    const { master, replica } = await pair()
    await survives(t, server, set.url, {
      sessions,
      async lag() {
        await cutOff(master, replica)
        const bearer = ended?.access_token as string
        t.equal((await server.call('POST', '/auth/logout', { bearer })).status, 204)
      },
      // The sentinel that the server asks first fails too, as if both were on one machine.
      async leave() {
        set.sentinels[0]?.pause()
        master.pause()
      },
    })
    await set.sentinels[0]?.kill()
    await set.sentinels[0]?.start()
    t.equal(await set.master(), replica)
    master.resume()
    // The sentinels would do this too, but only after observing it for eight seconds.
    await master.client.replicaof('127.0.0.1', replica.port)
    await reunite(replica, master)
  })

  t.test('its successor is killed, and the first master is master again', async (t) => {
    const { master, replica } = await pair()
    await survives(t, server, set.url, {
      sessions: await login(),
      lag: () => cutOff(master, replica),
      leave: () => master.kill(),
    })
    t.equal(await set.master(), replica)
    t.match((await insist(server, token)).body, { code: 'session_ended', reason: 'logout' })
  })

  t.test('the master continues to serve while no sentinel answers', async (t) => {
    const [session] = await login()
    for (const sentinel of set.sentinels) await sentinel.kill()
    t.equal((await refresh(server, session?.refresh_token as string)).status, 200)
    await until('ready', async () => (await server.call('GET', '/readyz')).body.status === 'ready')
  })
})
