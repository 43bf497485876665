import t from 'tap'
import { waitsOf } from '../../support/costs.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

async function person() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const ask = (new_email: unknown, more: object = {}) =>
    server.post('/auth/change-email', { password: account.password, new_email, ...more }, { bearer })
  return { ...account, id, bearer, ask }
}
const tokens = (userId: string) =>
  server.db.oneTimeToken.count({ where: { userId, purpose: 'change_email' } })
const subjects = async (email: string) => (await server.mailsTo(email)).map((mail) => mail.subject)

t.test(
  'a free, a taken and the current address get the same answer; the current one is notified',
  async (t) => {
    const taken = await server.createAccount()
    const registered = server.freshEmail()
    await server.post('/auth/register', { email: registered, password: server.password })
    const free = server.freshEmail()
    const waits = waitsOf(t, 'http/minimum-duration.ts')
    for (const [what, email] of Object.entries({ free, taken: taken.email, registered })) {
      const { ask, ...ada } = await person()
      waits.length = 0
      const answer = await ask(` ${email.toUpperCase()} `)
      t.strictSame(waits, [200], `${what} takes the minimum time`)
      t.strictSame([answer.status, answer.body], [202, { status: 'confirmation_sent' }], what)
      const told = (await server.mailsTo(ada.email)).at(-1)
      t.match(told?.subject, /is to get another e-mail address/, what)
      t.match(told?.text, email)
      const { body } = await server.call('GET', '/auth/activity?limit=1', { bearer: ada.bearer })
      t.match(body.events, [{ type: 'email_change_request', outcome: 'success', reason: null }], what)
      t.equal((await server.db.user.findUniqueOrThrow({ where: { id: ada.id } })).email, ada.email)
    }
    const { ask, ...own } = await person()
    const before = (await subjects(own.email)).length
    t.strictSame((await ask(own.email)).body, { status: 'confirmation_sent' })
    t.equal((await subjects(own.email)).length, before, 'a change to the current address sends no notice')

    t.match((await subjects(free)).at(-1), /Confirm your new e-mail address/)
    t.match((await subjects(registered)).at(-1), /Confirm your new e-mail address/)
    t.match((await subjects(taken.email)).at(-1), /has an account .*already/)
    t.notMatch((await server.mailsTo(taken.email)).at(-1)?.text, /token=/)
    const { id: holder } = await server.db.user.findUniqueOrThrow({ where: { email: taken.email } })
    const tried = {
      userId: holder,
      type: 'email_change_request',
      outcome: 'failure',
      reason: 'address_taken',
    }
    t.equal(await server.db.auditEvent.count({ where: tried }), 1, 'the owner can see it')
  },
)

t.test('the link comes from configuration', async (t) => {
  const { bearer, password } = await person()
  const email = server.freshEmail()
  const headers = { 'x-forwarded-host': 'evil.example.com', 'x-forwarded-proto': 'ftp' }
  await server.post('/auth/change-email', { password, new_email: email }, { bearer, headers })
  const text = (await server.mailsTo(email)).at(-1)?.text
  t.match(text, /http:\/\/localhost:8080\/auth\/confirm-email-change\?token=[\w-]{43}&locale=en\s/)
  t.notMatch(text, /evil/)
})

t.test('a request without the password is refused; a failure is an event', async (t) => {
  const { ask, ...ada } = await person()
  const email = server.freshEmail()
  t.match((await ask(email, { password: 'not the password' })).body, { code: 'invalid_credentials' })
  t.match((await server.post('/auth/change-email', { password: ada.password, new_email: email })).body, {
    code: 'access_token_invalid',
  })
  t.equal(await tokens(ada.id), 0)
  t.equal((await subjects(email)).length, 0)
  const failed = {
    userId: ada.id,
    type: 'email_change_request',
    outcome: 'failure',
    reason: 'wrong_password',
  }
  t.equal(await server.db.auditEvent.count({ where: failed }), 1)
})

t.test('an account with a second factor needs it too', async (t) => {
  const { ask, ...ada } = await person()
  const enrol = await server.post('/auth/mfa/totp', { password: ada.password }, { bearer: ada.bearer })
  t.equal(enrol.status, 200, enrol.text)
  const { secret } = enrol.body
  const code = totpCode(secret, clock.now())
  t.equal((await server.post('/auth/mfa/totp/confirm', { code }, { bearer: ada.bearer })).status, 200)
  const email = server.freshEmail()
  t.match((await ask(email)).body, { code: 'mfa_required', methods: ['totp', 'recovery_code'] })
  t.match((await ask(email, { code: '000000' })).body, { code: 'mfa_invalid' })
  t.match((await ask(email, { recovery_code: 'abcd-abcd-abcd-abcd' })).body, { code: 'mfa_invalid' })
  t.equal(await tokens(ada.id), 0)
  clock.advance(30_000)
  t.equal((await ask(email, { code: totpCode(secret, clock.now()) })).status, 202)
  t.equal(await tokens(ada.id), 1)
})

t.test('a new request invalidates the previous link, even one for the current address', async (t) => {
  const { ask, ...ada } = await person()
  const [first, second] = [server.freshEmail(), server.freshEmail()]
  await ask(first)
  const stale = await server.lastToken(first)
  await ask(second)
  t.equal(await tokens(ada.id), 1)
  t.match((await server.post('/auth/confirm-email-change', { token: stale })).body, { code: 'token_invalid' })
  const current = await server.lastToken(second)
  await ask(ada.email)
  t.match((await server.post('/auth/confirm-email-change', { token: current })).body, {
    code: 'token_invalid',
  })
})

t.test('20 parallel requests leave one working link', async (t) => {
  const { ask, ...ada } = await person()
  const emails = Array.from({ length: 20 }, () => server.freshEmail())
  const answers = await twenty((index) => ask(emails[index]))
  const statuses = answers.map((answer) => answer.status)
  t.ok(
    statuses.every((status) => [202, 429, 503].includes(status)),
    `${statuses}`,
  )
  t.equal(await tokens(ada.id), 1)
})

t.test(
  'an account can ask ten times an hour: each request notifies its owner, and strangers get no flood',
  async (t) => {
    const { ask, ...ada } = await person()
    const emails = Array.from({ length: 20 }, () => server.freshEmail())
    const answers = []
    for (const email of emails) answers.push(await ask(email))
    t.strictSame(
      answers.map(({ status }) => status),
      [...Array(10).fill(202), ...Array(10).fill(429)],
    )
    t.equal(answers.at(-1)?.headers.get('retry-after'), '3600')
    const notices = (await server.mailsTo(ada.email)).map(({ text }) => text).join()
    for (const [index, email] of emails.entries()) {
      t.equal((await server.mailsTo(email)).length, index < 10 ? 1 : 0)
      t.equal(notices.includes(email), index < 10)
    }
    t.equal((await ask(ada.email)).status, 202, 'a request can always be withdrawn')
    t.equal(await tokens(ada.id), 0)
    clock.advance(3_600_001)
    const { email, password } = ada
    const { access_token: bearer } = await server.login({ email, password })
    const body = { password, new_email: server.freshEmail() }
    t.equal((await server.post('/auth/change-email', body, { bearer })).status, 202)
  },
)

t.test('invalid input gets a problem that points at each fault, and changes nothing', async (t) => {
  const { ask, ...ada } = await person()
  const good = server.freshEmail()
  const faults: [new_email: unknown, more: object, pointer: string][] = [
    [undefined, {}, '/new_email'],
    [['a@example.com', 'b@example.com'], {}, '/new_email'],
    [{ contains: '@' }, {}, '/new_email'],
    ['', {}, '/new_email'],
    ['a@b@example.com', {}, '/new_email'],
    ['a@example.com\r\nBcc: b@example.com', {}, '/new_email'],
    ['a\u0000@example.com', {}, '/new_email'],
    ['lone\ud800@example.com', {}, '/new_email'],
    ['rtl\u202e@example.com', {}, '/new_email'],
    [`${'a'.repeat(250)}@example.com`, {}, '/new_email'],
    [good, { role: 'admin' }, '/role'],
    [good, { email: 'a@example.com' }, '/email'],
    [good, { password: ['x'] }, '/password'],
    [good, { password: undefined }, '/password'],
    [good, { code: 123456 }, '/code'],
    [good, { recovery_code: {} }, '/recovery_code'],
    [good, { passkey: 'x' }, '/passkey'],
  ]
  for (const [new_email, more, pointer] of faults) {
    const answer = await ask(new_email, more)
    t.equal(answer.status, 400, `${pointer} ${JSON.stringify(new_email)}`)
    t.ok(
      answer.body.errors.some((fault: { pointer: string }) => fault.pointer === pointer),
      answer.text,
    )
  }
  t.equal(await tokens(ada.id), 0)
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const form = { body: 'password=x&new_email=a@b.c', bearer: ada.bearer, headers }
  t.equal((await server.call('POST', '/auth/change-email', form)).status, 415)
})

t.test('a dotless i is a different letter', async (t) => {
  const { ask } = await person()
  const [plain, dotless] = ['victim@example.com', 'v\u0131ctim@example.com']
  await server.createAccount(plain)
  const before = (await subjects(plain)).length
  t.equal((await ask(dotless)).status, 202)
  t.match((await subjects(dotless)).at(-1), /Confirm your new/)
  t.equal((await subjects(plain)).length, before)
})

t.test('no secret is in the log or in events', async (t) => {
  const { ask, ...ada } = await person()
  const email = server.freshEmail()
  await ask(email)
  const token = await server.lastToken(email)
  await server.call('GET', `/auth/confirm-email-change?token=${token}`)
  const all = server.logs.join() + JSON.stringify(await server.db.auditEvent.findMany())
  for (const secret of [token, ada.password]) t.notOk(all.includes(secret))
})
