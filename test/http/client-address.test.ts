import t from 'tap'
import { startServer } from '../support/server.ts'

const SPELLINGS = [
  ['198.51.100.7:49152', '198.51.100.7'],
  ['::ffff:198.51.100.7', '198.51.100.7'],
  ['[::ffff:c633:6407]:443', '198.51.100.7'],
  ['[2001:DB8::1%eth0]:80', '2001:db8::1'],
  ['fe80::1%<img src=x>', 'fe80::1'],
  ['call 555 0100 to unlock', '127.0.0.1'],
] as const

t.test('every place that quotes an address has its one spelling', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
  const account = await server.createAccount()
  for (const [forwarded, ip] of SPELLINGS) {
    const headers = { 'x-forwarded-for': forwarded, 'user-agent': `agent of ${forwarded}` }
    const answer = await server.post('/auth/login', { ...account, transport: 'body' }, { headers })
    t.equal(answer.status, 200)
    const { id } = answer.body.session
    t.equal((await server.db.session.findUniqueOrThrow({ where: { id } })).ip, ip, forwarded)
    t.equal((await server.db.auditEvent.findFirstOrThrow({ where: { sessionId: id } })).ip, ip)
  }
  const mails = await server.mailsTo(account.email)
  const quoted = JSON.stringify(mails)
  t.match(quoted, '2001:db8::1')
  for (const text of [...server.logs, quoted]) t.notMatch(text, /::ffff|eth0|<img|555 0100|49152/i)
})

t.test('spellings of one address share a budget', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
  const left = async (forwarded: string) => {
    const headers = { 'x-forwarded-for': forwarded }
    const { headers: answer } = await server.call('GET', '/openapi.json', { headers })
    return Number(/r=(\d+);/.exec(answer.get('ratelimit') ?? '')?.[1])
  }
  const before = await left('198.51.100.99')
  for (const [index, spelling] of [
    '198.51.100.99:1',
    '::ffff:198.51.100.99',
    '[::FFFF:198.51.100.99]:2',
  ].entries())
    t.equal(await left(spelling), before - 1 - index, spelling)
})

t.test('a forwarded host or protocol is not believed', async (t) => {
  const server = await startServer(t, { env: { TRUST_PROXY: 'true' } })
  const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
  for (const path of ['/', '/openapi.json', '/.well-known/change-password'])
    t.notMatch((await server.call('GET', path, { headers })).text, 'evil.example')
})

t.test('a client that reaches a socket for both versions of IP has its IPv4 address', async (t) => {
  const server = await startServer(t, { env: { HOST: '::' } })
  const { session } = await server.login(await server.createAccount())
  t.equal((await server.db.session.findUniqueOrThrow({ where: { id: session.id } })).ip, '127.0.0.1')
  t.match(server.logs.join(''), '"ip":"127.0.0.1"')
  t.notMatch(server.logs.join(''), '::ffff')
})
