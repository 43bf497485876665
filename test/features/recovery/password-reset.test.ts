import t from 'tap'
import { Overloaded } from '../../../src/platform/concurrency-limit.ts'
import { waitsOf } from '../../support/costs.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const request = (email: string, headers: Record<string, string> = {}) =>
  server.post('/auth/request-password-reset', { email }, { headers })

t.test(
  'a request gets the same answer after the same time for any address; links come from configuration',
  async (t) => {
    const account = await server.createAccount()
    const hostile = { 'x-forwarded-host': 'evil.example.com', 'x-forwarded-proto': 'ftp' }
    const waits = waitsOf(t, 'http/minimum-duration.ts')
    const known = await request(account.email, hostile)
    const unknown = await request('nobody@example.com')
    t.strictSame(waits, [200, 200], 'an unknown address takes the minimum time')
    t.equal(known.status, 202)
    t.strictSame(known.body, unknown.body)
    const mail = (await server.mailsTo(account.email)).at(-1)
    t.match(mail?.text, /http:\/\/localhost:8080\/auth\/reset-password\?token=/)
    t.notMatch(mail?.text, /evil/)
  },
)

t.test('a reset ends every session and signs nobody in; of 20 parallel uses one succeeds', async (t) => {
  const account = await server.createAccount()
  const session = await server.login(account)
  await request(account.email)
  const token = await server.lastToken(account.email)
  t.match((await server.post('/auth/reset-password', { token, password: 'short' })).body, {
    code: 'password_too_weak',
  })
  const page = await server.call('GET', `/auth/reset-password?token=${token}`)
  t.match(page.text, /Use 12 to 128 characters. With a second factor 8 are enough./)
  t.equal(page.status, 200)
  t.match(page.text, /<form method="post"/)
  const password = 'a passphrase after the reset'
  const answers = await twenty(() => server.post('/auth/reset-password', { token, password }))
  t.equal(answers.filter((answer) => answer.status === 204).length, 1)
  t.equal(answers.filter((answer) => answer.body?.code === 'token_used').length, 19)
  for (const answer of answers) t.equal(answer.headers.getSetCookie().length, 0)
  t.match((await server.post('/auth/refresh', { refresh_token: session.refresh_token })).body, {
    code: 'session_ended',
    reason: 'password_reset',
  })
  t.equal((await server.call('GET', '/me', { bearer: session.access_token })).status, 401)
  t.equal((await server.post('/auth/login', account)).status, 401)
  t.equal((await server.post('/auth/login', { email: account.email, password })).status, 200)
})

t.test('the page sets the password with a form, without scripts', async (t) => {
  const account = await server.createAccount()
  await request(account.email)
  const token = await server.lastToken(account.email)
  const submit = (password: string) =>
    server.call('POST', '/auth/reset-password', {
      body: new URLSearchParams({ token, password }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
  const weak = await submit('short')
  t.match(weak.text, /<form method="post"/, 'a weak password shows the form again')
  const done = await submit('a passphrase from the form')
  t.equal(done.status, 200)
  t.match(done.text, /changed/)
  t.equal((await submit('a passphrase from the form')).status, 400)
})

t.test(
  'a link stops working after an hour, after a password change, and when the account is disabled',
  async (t) => {
    const account = await server.createAccount()
    await request(account.email)
    const first = await server.lastToken(account.email)
    clock.advance(3_600_001)
    t.match(
      (await server.post('/auth/reset-password', { token: first, password: 'a new long passphrase' })).body,
      { code: 'token_invalid' },
    )
    await request(account.email)
    const second = await server.lastToken(account.email)
    const { access_token: bearer } = await server.login(account)
    await server.post(
      '/auth/change-password',
      { current_password: account.password, new_password: 'changed in between' },
      { bearer },
    )
    t.match(
      (await server.post('/auth/reset-password', { token: second, password: 'a new long passphrase' })).body,
      { code: 'token_invalid' },
    )
    await request(account.email)
    const third = await server.lastToken(account.email)
    await server.db.user.update({ where: { email: account.email }, data: { disabledAt: new Date() } })
    t.match(
      (await server.post('/auth/reset-password', { token: third, password: 'a new long passphrase' })).body,
      { code: 'token_invalid' },
    )
  },
)

t.test('a stranger who registers the address again cannot invalidate its reset links', async (t) => {
  const email = server.freshEmail()
  await server.post('/auth/register', { email, password: server.password })
  await request(email)
  const token = await server.lastToken(email)
  await server.post('/auth/register', { email, password: 'the stranger knows this one' })
  t.equal(
    (await server.post('/auth/reset-password', { token, password: 'only the owner knows this' })).status,
    204,
  )
  t.equal((await server.post('/auth/login', { email, password: 'the stranger knows this one' })).status, 401)
  t.equal((await server.post('/auth/login', { email, password: 'only the owner knows this' })).status, 200)
})

t.test('the address cannot be the password, and only the page accepts forms', async (t) => {
  const account = await server.createAccount()
  await request(account.email)
  const token = await server.lastToken(account.email)
  t.match((await server.post('/auth/reset-password', { token, password: account.email })).body, {
    reasons: ['same_as_email'],
  })
  t.equal(
    (await server.post('/auth/reset-password', { token, password: 'a new long passphrase' })).status,
    204,
    'the link is not used up',
  )
  const headers = { 'content-type': 'Application/X-www-form-urlencoded' }
  t.equal(
    (await server.call('POST', '/auth/request-password-reset', { body: 'email=a@b.c', headers })).status,
    415,
  )
})

t.test(
  'the page for a forgotten password works without scripts, and the "already registered" mail links to it',
  async (t) => {
    const account = await server.createAccount()
    await server.post('/auth/register', { email: account.email, password: server.password })
    const link = /http:\/\/localhost:8080(\S*forgot\S*)/.exec(
      (await server.mailsTo(account.email)).at(-1)?.text ?? '',
    )?.[1] as string
    t.match((await server.call('GET', link)).text, /<form method="post"/)
    const before = (await server.mailsTo(account.email)).length
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const sent = await server.call('POST', link, {
      body: new URLSearchParams({ email: account.email }).toString(),
      headers,
    })
    t.equal(sent.status, 200)
    t.equal((await server.mailsTo(account.email)).length, before + 1)
  },
)

t.test('a sign-in in progress with the old password does not survive the reset', async (t) => {
  const account = await server.createAccount()
  await request(account.email)
  const token = await server.lastToken(account.email)
  const [reset, ...logins] = await Promise.all([
    server.post('/auth/reset-password', { token, password: 'a passphrase after the reset' }),
    ...Array.from({ length: 19 }, () => server.post('/auth/login', { ...account, transport: 'body' })),
  ])
  t.equal(reset.status, 204)
  for (const login of logins.filter((answer) => answer.status === 200)) {
    t.match((await server.post('/auth/refresh', { refresh_token: login.body.refresh_token })).body, {
      reason: 'password_reset',
    })
  }
})

t.test('60 parallel requests get the same answers for a known and an unknown address', async (t) => {
  const { email } = await server.createAccount()
  for (const address of [email, server.freshEmail()]) {
    const answers = await Promise.all(Array.from({ length: 60 }, () => request(address)))
    for (const answer of answers) t.equal(answer.status, 202)
  }
  const mails = (await server.mailsTo(email)).filter(({ text }) => /reset-password/.test(text))
  t.ok(mails.length >= 1 && mails.length <= 10, `${mails.length} mails`)
})

t.test('a browser is told what a link is worth before the form, and strangers learn nothing', async (t) => {
  const account = await server.createAccount()
  await request(account.email)
  const token = await server.lastToken(account.email)
  const open = (value: string) =>
    server.call('GET', `/auth/reset-password?token=${value}`, { headers: { accept: 'text/html' } })
  for (const opened of [await open(token), await open(token)]) {
    t.equal(opened.status, 200, 'opening it uses nothing up')
    t.match(opened.text, `value="${account.email}"`)
    t.match(opened.text, /autocomplete="username" readonly/)
    t.match(opened.text, /autocomplete="new-password"/)
  }
  const wrong = await open('wrong')
  t.equal(wrong.status, 400)
  t.notMatch(wrong.text, /<form/)
  t.match(wrong.text, 'href="/auth/forgot-password"')

  await server.db.user.update({ where: { email: account.email }, data: { disabledAt: new Date() } })
  t.equal((await open(token)).text, wrong.text, 'a disabled account')
  await server.db.user.update({ where: { email: account.email }, data: { disabledAt: null } })
  await server.post('/auth/reset-password', { token, password: 'a passphrase after the reset' })
  const used = await open(token)
  t.equal(used.status, 400)
  t.match(used.text, /has been used[\s\S]*Sign in/)
  t.notMatch(used.text, account.email)
  t.notMatch(used.text, /new link/)
  await request(account.email)
  const second = await server.lastToken(account.email)
  await server.post('/auth/reset-password', { token: second, password: 'another one after that' })
  t.equal((await open(token)).text, used.text, 'after another reset')
  const { id: userId } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const failures = () => server.db.auditEvent.count({ where: { userId, reason: 'token_used' } })
  t.equal(await failures(), 0, 'opening leaves no event')
  t.match((await server.post('/auth/reset-password', { token, password: 'x' })).body, { code: 'token_used' })
  t.equal(await failures(), 1, 'pressing leaves one for its owner')
  t.equal((await server.post('/auth/login', { ...account, password: 'another one after that' })).status, 200)
  clock.advance(3_600_001)
  t.equal((await open(token)).text, wrong.text, 'once it would have expired')
  await request(account.email)
  const last = await server.lastToken(account.email)
  await server.post('/auth/reset-password', { token: last, password: 'the last one before that' })
  const { access_token: bearer } = await server.login({ ...account, password: 'the last one before that' })
  await server.call('DELETE', '/me', { bearer, body: { password: 'the last one before that' } })
  t.equal((await open(last)).text, wrong.text, 'a deleted account')
})

t.test('a form without one password, and a busy server, keep the link too', async (t) => {
  const account = await server.createAccount()
  await request(account.email)
  const token = await server.lastToken(account.email)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' }
  for (const rest of ['', '&password=', '&password=a&password=b', `&password=${'x'.repeat(5_000)}`]) {
    const page = await server.call('POST', '/auth/reset-password', { body: `token=${token}${rest}`, headers })
    t.equal(page.status, 400, rest.slice(0, 20))
    t.match(page.text, `name="token" value="${token}"`)
    t.match(page.text, /role="alert"/)
  }
  const unknown = await server.call('POST', '/auth/reset-password', {
    body: 'token=unknown&password=',
    headers,
  })
  t.equal(unknown.status, 400)
  t.match(unknown.text, 'Ask for a new link', 'a link that does not work is not asked about again')
  const { passwords } = server.app.services
  const { hash } = passwords
  t.teardown(() => Object.assign(passwords, { hash }))
  passwords.hash = () => Promise.reject(new Overloaded())
  const body = `token=${token}&password=a+passphrase+from+the+form`
  const submit = () => server.call('POST', '/auth/reset-password', { body, headers })
  const busy = await submit()
  t.equal(busy.status, 503)
  t.equal(busy.headers.get('retry-after'), '2')
  t.match(busy.text, `name="token" value="${token}"`)
  t.match(busy.text, /We are very busy/)
  passwords.hash = hash
  t.equal((await submit()).status, 200)
})

t.test('one client causes five mails an hour, and the newest link of the others waits', async (t) => {
  const { email } = await server.createAccount()
  for (let n = 0; n < 8; n++) t.equal((await request(email)).status, 202)
  const mails = (await server.mailsTo(email)).filter(({ text }) => /reset-password/.test(text))
  t.equal(mails.length, 5)
  const waiting = { recipient: email, topic: 'reset_password', sentAt: null }
  t.match(await server.db.outboxMessage.findMany({ where: waiting }), [{ attempts: 0, gaveUpAt: null }])
})
