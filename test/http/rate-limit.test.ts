import { randomInt } from 'node:crypto'
import t from 'tap'
import { clientKey } from '../../src/platform/client-key.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { countEvents } from '../support/events.ts'
import { startServer } from '../support/server.ts'

t.test('one client is an IPv4 address or an IPv6 /64', (t) => {
  t.equal(clientKey('::ffff:192.0.2.1'), clientKey('192.0.2.1'))
  t.equal(clientKey('2001:db8:1:2::1'), clientKey('2001:db8:1:2:ffff:ffff:ffff:ffff'))
  t.not(clientKey('2001:db8:1:2::1'), clientKey('2001:db8:1:3::1'))
  t.not(clientKey('192.0.2.1'), clientKey('192.0.2.2'))
  t.end()
})

// Each at another address: guesses at one account have their own cap.
const attempt = (index: number) => ({ email: `nobody-${index}@example.com`, password: 'whatever it is' })

t.test('behind a trusted proxy each client has a budget; parallel requests cannot exceed it', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
  const client = `198.51.100.${randomInt(1, 250)}`
  const from = (ip: string, index = 0) =>
    server.post('/auth/login', attempt(index), { headers: { 'x-forwarded-for': ip } })
  const answers = await Promise.all(Array.from({ length: 60 }, (_, index) => from(client, index)))
  t.equal(answers.filter((answer) => answer.status === 401).length, 30)
  const refused = answers.find((answer) => answer.status === 429)
  t.match(refused?.body, { code: 'too_many_attempts', reason: 'rate_limited' })
  t.ok(Number(refused?.headers.get('retry-after')) > 0)
  t.match(refused?.headers.get('ratelimit'), /^"login";r=0;t=\d+$/)
  t.match(refused?.headers.get('ratelimit-policy'), /^"login";q=30;w=60$/)
  t.equal(
    (await from(`evil, ${client}`)).status,
    429,
    'an address that the client itself forwards is ignored',
  )
  t.equal((await from('203.0.113.77')).status, 401)
})

t.test('without a trusted proxy forwarded headers are ignored', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true' } })
  await server.redis.del('budget:login:127.0.0.1')
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      server.post('/auth/login', attempt(index), { headers: { 'x-forwarded-for': `203.0.113.${index}` } }),
    ),
  )
  t.equal(answers.filter((answer) => answer.status === 429).length, 10)
  await server.redis.del('budget:login:127.0.0.1')
})

t.test('refused refreshes are limited, honest ones are not', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
  const headers = { 'x-forwarded-for': `192.0.2.${randomInt(1, 250)}` }
  const account = await server.createAccount()
  const { body: session } = await server.post('/auth/login', { ...account, transport: 'body' }, { headers })
  for (let turn = 0; turn < 30; turn += 1) {
    t.equal((await server.post('/auth/refresh', { refresh_token: 'x' }, { headers })).status, 401)
  }
  t.equal((await server.post('/auth/refresh', { refresh_token: 'x' }, { headers })).status, 429)
  t.equal(
    (await server.post('/auth/refresh', { refresh_token: session.refresh_token }, { headers })).status,
    200,
  )
})

t.test('a limited request leaves no event, so strangers cannot fill the trail', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
  const headers = { 'x-forwarded-for': `192.0.3.${randomInt(1, 250)}` }
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => server.post('/auth/refresh', { refresh_token: 'x' }, { headers })),
  )
  t.equal(answers.filter(({ status }) => status === 401).length, 30)
  await server.close()
  const { db, close } = openDatabase({ url: server.databaseUrl })
  t.equal(await countEvents(db, { type: 'refresh' }), 30)
  await close()
})
