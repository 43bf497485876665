import t, { type Test } from 'tap'
import { type Certificates, makeCertificates, noOpenssl } from '../support/certificates.ts'
import { until } from '../support/eventually.ts'
import { insist, refresh, rotate } from '../support/failover.ts'
import { noRedis, PASSWORD, startRedisServer } from '../support/redis-servers.ts'
import { startCluster, startSentinels } from '../support/redis-topologies.ts'
import { startServer } from '../support/server.ts'

t.test('Redis with TLS and a password', { skip: noRedis || noOpenssl }, async (t) => {
  const certificates = await makeCertificates(t)
  const settings = [`user ratchet on >${PASSWORD} ~* +@all`, 'user default off']

  async function serves(t: Test, url: string, { caFile }: Certificates) {
    const server = await startServer(t, { env: { REDIS_URL: url, REDIS_CA: caFile } })
    const account = await server.createAccount()
    const [first, second] = await Promise.all([server.login(account), server.login(account)])
    const token = await rotate(server, await rotate(server, first.refresh_token))
    t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
    const out = await server.call('POST', '/auth/logout-all', { bearer: second.access_token })
    t.equal(out.status, 204)
    t.match((await refresh(server, token)).body, { code: 'session_ended', reason: 'logout_all' })
    t.strictSame(
      server.logs.filter((line) => line.includes('unavailable')),
      [],
    )
  }

  /** The server runs, Redis is unreachable, and the log says why: once, and without the password. */
  async function refuses(t: Test, env: Record<string, string>, reason: RegExp) {
    const server = await startServer(t, { storesFail: true, env: { RATE_LIMITS: 'true', ...env } })
    const { access_token, refresh_token } = await server.login(await server.createAccount())
    t.equal((await server.call('GET', '/me', { bearer: access_token })).status, 200)
    t.equal((await server.call('GET', '/readyz')).body.status, 'degraded')
    t.equal((await refresh(server, refresh_token)).status, 200, 'the ledger rotates')
    const lines = server.logs.filter((line) => line.includes('redis is unavailable'))
    t.equal(lines.length, 1)
    t.match(JSON.parse(lines[0] as string).reason, reason)
    t.notMatch(server.logs.join(''), PASSWORD)
  }

  const redis = await startRedisServer(t, { settings, tls: certificates, username: 'ratchet' })
  const plain = await startRedisServer(t)
  const url = (user: string, password: string, port = redis.port, scheme = 'rediss') =>
    `${scheme}://${user}:${password}@127.0.0.1:${port}`
  const REDIS_CA = certificates.caFile

  t.test('a server with a certificate of the given authority is accepted', (t) =>
    serves(t, url('ratchet', PASSWORD), certificates),
  )

  t.test('each fault is logged once, and nothing is sent', { jobs: 3 }, async (t) => {
    const [others, misnamed] = await Promise.all([
      makeCertificates(t),
      makeCertificates(t, 'DNS:elsewhere.example'),
    ])
    const elsewhere = await startRedisServer(t, { tls: misnamed })
    const right = url('ratchet', PASSWORD)
    const cases: [name: string, env: Record<string, string>, reason: RegExp][] = [
      ['another authority', { REDIS_URL: right, REDIS_CA: others.caFile }, /CERT|SIGNATURE/],
      ['the public authorities', { REDIS_URL: right }, /CERT|SIGNATURE/],
      [
        'a certificate for another name',
        { REDIS_URL: url('', PASSWORD, elsewhere.port), REDIS_CA: misnamed.caFile },
        /ALTNAME/,
      ],
      ['TLS to a plain port', { REDIS_URL: url('', PASSWORD, plain.port), REDIS_CA }, /ETIMEDOUT|closed/],
      [
        'no TLS where it is required',
        { REDIS_URL: url('ratchet', PASSWORD, redis.port, 'redis') },
        /closed|ECONN/,
      ],
      ['a wrong password', { REDIS_URL: url('ratchet', 'guessed'), REDIS_CA }, /WRONGPASS/],
      ['a wrong password without TLS', { REDIS_URL: url('', 'guessed', plain.port, 'redis') }, /WRONGPASS/],
    ]
    await Promise.all(
      cases.map(([name, env, reason]) => t.test(name, { buffered: true }, (t) => refuses(t, env, reason))),
    )
  })

  t.test('a cluster works with TLS', async (t) => {
    const cluster = await startCluster(t, { replicas: false, tls: certificates })
    await serves(t, cluster.url, certificates)
  })

  t.test('sentinels and their master work with TLS', async (t) => {
    const set = await startSentinels(t, { replicas: 0, sentinels: 1, tls: certificates })
    await serves(t, set.url, certificates)
  })
})

t.test(
  'a server that starts before its Redis uses it as soon as it is available',
  { skip: noRedis },
  async (t) => {
    const redis = await startRedisServer(t)
    await redis.kill()
    const server = await startServer(t, {
      env: { REDIS_URL: `redis://:${PASSWORD}@127.0.0.1:${redis.port}/3` },
    })
    const session = await server.login(await server.createAccount())
    t.equal((await server.call('GET', '/readyz')).body.status, 'degraded')
    const answer = insist(server, session.refresh_token)
    await redis.start()
    let { status, body } = await answer
    t.equal(status, 200)
    await until('the session is in the database that the URL names', async () => {
      ;({ status, body } = await insist(server, body.refresh_token))
      t.equal(status, 200)
      return /db3:keys=[1-9]/.test(await redis.client.info('keyspace'))
    })
    await until('ready', async () => (await server.call('GET', '/readyz')).body.status === 'ready')
  },
)
