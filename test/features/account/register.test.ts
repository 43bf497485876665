import t from 'tap'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)

t.test('known and unknown addresses get the same answer; the owner of a known one is notified', async (t) => {
  const known = await server.createAccount()
  const again = await server.post('/auth/register', {
    email: known.email,
    password: 'another long passphrase',
  })
  const fresh = await server.post('/auth/register', { email: server.freshEmail(), password: server.password })
  t.equal(again.status, 202)
  t.equal(fresh.status, 202)
  t.strictSame(again.body, fresh.body)
  const names = (answer: typeof again) => answer.headers.getSetCookie().map((cookie) => cookie.split('=')[0])
  t.strictSame(names(again), ['ratchet-registration-dev'])
  t.strictSame(names(again), names(fresh))
  t.match((await server.mailsTo(known.email)).at(-1)?.subject, /already have an account/)
  t.equal((await server.post('/auth/login', known)).status, 200, 'the old password still works')
})

t.test('the registration token is in an HttpOnly cookie, or in the body, and never in both', async (t) => {
  const email = server.freshEmail()
  const cookie = await server.post('/auth/register', { email, password: server.password })
  t.notOk('registration_token' in cookie.body)
  t.match(cookie.headers.getSetCookie()[0], /; Max-Age=86400; Path=\/; HttpOnly; SameSite=Lax$/)
  const body = await server.post('/auth/register', { email, password: server.password, transport: 'body' })
  t.match(body.body.registration_token, /^[\w-]{43}$/)
  t.strictSame(body.headers.getSetCookie(), [])
  const origin = 'https://elsewhere.example'
  const foreign = await server.post(
    '/auth/register',
    { email, password: server.password },
    { headers: { origin } },
  )
  t.match(foreign, { status: 403, body: { code: 'origin_not_allowed' } })
})

t.test('a registration is no account, and one address can have any number of them', async (t) => {
  const email = server.freshEmail()
  const answers = await twenty(() => server.post('/auth/register', { email, password: server.password }))
  t.strictSame([...new Set(answers.map((answer) => answer.status))], [202])
  t.equal(await server.db.user.count({ where: { email } }), 0)
  t.equal(await server.db.registration.count({ where: { email } }), 20)
})

t.test('the password policy has a length, counted in characters, and no rules of composition', async (t) => {
  const weak = async (password: string, email = server.freshEmail()) =>
    (await server.post('/auth/register', { email, password })).body
  t.match(await weak('short'), { code: 'password_too_weak', reasons: ['too_short'] })
  t.match(await weak('🔑'.repeat(11)), { reasons: ['too_short'] })
  t.match(await weak('x'.repeat(129)), { reasons: ['too_long'] })
  t.match(await weak('somebody@example.com', 'somebody@example.com'), { reasons: ['same_as_email'] })
  t.match(await weak('🔑🗝🚪🏠🌳🦉🌙⭐🔭📖🕯🐈'), { status: 'verification_sent' })
  t.match(await weak('all lower case, no digits'), { status: 'verification_sent' })
})

t.test('invalid input gets a problem that points at each fault, and changes nothing', async (t) => {
  const before = await server.db.registration.count()
  const good = { email: server.freshEmail(), password: server.password }
  const faults: [unknown, string][] = [
    [{ ...good, role: 'admin' }, '/role'],
    [{ ...good, email_verified: true }, '/email_verified'],
    [{ ...good, email: ['a@example.com', 'b@example.com'] }, '/email'],
    [{ ...good, email: { contains: '@' } }, '/email'],
    [{ ...good, password: 12345678901234 }, '/password'],
    [{ email: good.email }, '/password'],
    [{ ...good, email: 'a@b@example.com' }, '/email'],
    [{ ...good, email: 'a@example.com\r\nBcc: b@example.com' }, '/email'],
    [{ ...good, email: 'a\u0000@example.com' }, '/email'],
    [{ ...good, email: `${'a'.repeat(250)}@example.com` }, '/email'],
    [{ ...good, name: 'x'.repeat(101) }, '/name'],
    [{ ...good, name: 'with \u0000' }, '/name'],
    [{ ...good, name: 'lone \ud800' }, '/name'],
  ]
  for (const [body, pointer] of faults) {
    const answer = await server.post('/auth/register', body)
    t.equal(answer.status, 400, pointer)
    t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
    t.match(answer.body, { status: 400, code: 'validation_failed', errors: [{ pointer }] })
  }
  const raw = (body: string, type: string) =>
    server.call('POST', '/auth/register', { body, headers: { 'content-type': type } })
  t.equal((await raw('{"email":', 'application/json')).status, 400)
  t.equal((await raw('{"__proto__":{"x":1}}', 'application/json')).status, 400)
  t.equal((await raw('email=a', 'application/x-www-form-urlencoded')).status, 415)
  t.equal((await raw('{}', 'text/plain')).status, 415)
  t.equal((await raw('{}', 'application/json\tx')).status, 415)
  t.match((await raw(JSON.stringify({ ...good, role: 'admin' }), 'application/json ; charset=utf-8')).body, {
    errors: [{ pointer: '/role' }],
  })
  const huge = await raw(JSON.stringify({ ...good, name: 'x'.repeat(20_000) }), 'application/json')
  t.equal(huge.status, 413)
  t.equal(huge.body.code, 'body_too_large')
  t.equal(await server.db.registration.count(), before)
})
