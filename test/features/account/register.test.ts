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
  t.match((await server.mailsTo(known.email)).at(-1)?.subject, /already have an account/)
  t.equal((await server.post('/auth/login', known)).status, 200, 'the old password still works')
})

t.test('a later registration of an unverified address supersedes the earlier one', async (t) => {
  const email = server.freshEmail()
  await server.post('/auth/register', { email, password: 'the stranger knows this one' })
  const strangersLink = await server.lastToken(email)
  await server.post('/auth/register', { email, password: server.password })
  const stale = await server.post('/auth/verify-email', { token: strangersLink })
  t.equal(stale.status, 400)
  t.equal(stale.body.code, 'token_invalid')
  t.equal((await server.post('/auth/verify-email', { token: await server.lastToken(email) })).status, 200)
  t.equal((await server.post('/auth/login', { email, password: 'the stranger knows this one' })).status, 401)
  t.equal((await server.post('/auth/login', { email, password: server.password })).status, 200)
})

t.test('20 parallel registrations create one account', async (t) => {
  const email = server.freshEmail()
  const answers = await twenty(() => server.post('/auth/register', { email, password: server.password }))
  t.strictSame([...new Set(answers.map((answer) => answer.status))], [202])
  t.equal(await server.db.user.count({ where: { email } }), 1)
})

t.test('the password policy is a length, counted in characters', async (t) => {
  const weak = async (password: string, email = server.freshEmail()) =>
    (await server.post('/auth/register', { email, password })).body
  t.match(await weak('short'), { code: 'password_too_weak', reasons: ['too_short'] })
  t.match(await weak('🔑'.repeat(11)), { reasons: ['too_short'] })
  t.match(await weak('x'.repeat(129)), { reasons: ['too_long'] })
  t.match(await weak('somebody@example.com', 'somebody@example.com'), { reasons: ['same_as_email'] })
  t.match(await weak('🔑'.repeat(12)), { status: 'verification_sent' })
  t.match(await weak('all lower case, no digits'), { status: 'verification_sent' })
})

t.test('invalid input gets a problem that points at each fault, and changes nothing', async (t) => {
  const users = await server.db.user.count()
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
  t.equal(await server.db.user.count(), users)
})
