import t from 'tap'
import { duringSignIn } from '../../support/during-sign-in.ts'
import { countEvents } from '../../support/events.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)

t.test(
  'an unknown address, a wrong, empty or huge password and a disabled account get the same answer',
  async (t) => {
    const account = await server.createAccount()
    const disabled = await server.createAccount()
    await server.db.user.update({ where: { email: disabled.email }, data: { disabledAt: new Date() } })
    const attempts = [
      { email: 'nobody@example.com', password: account.password },
      { email: account.email, password: 'not the password' },
      { email: account.email, password: '' },
      { email: account.email, password: 'x'.repeat(4096) },
      { email: account.email, password: `${account.password} ` },
      disabled,
    ]
    for (const attempt of attempts) {
      const { status, body } = await server.post('/auth/login', attempt)
      t.equal(status, 401)
      const { request_id: _, ...answer } = body
      t.strictSame(answer, {
        type: 'urn:ratchet:problem:invalid_credentials',
        title: 'The e-mail address or the password is wrong',
        status: 401,
        code: 'invalid_credentials',
        detail:
          'If you have registered with this address, open the link in our mail first. It may have been sent a moment ago.',
      })
    }
    t.equal(await countEvents(server.db, { type: 'login', outcome: 'failure' }), attempts.length)
  },
)

t.test('a registration is reported only to the one who made it, with or without an account', async (t) => {
  for (const email of [server.freshEmail(), (await server.createAccount()).email]) {
    const password = 'the password of a registration'
    const { body } = await server.post('/auth/register', { email, password, transport: 'body' })
    const registration_token = body.registration_token
    const mails = (await server.mailsTo(email)).length
    const asStranger = { email, password: server.freshEmail(), registration_token }
    for (const refused of [
      { email, password },
      { email, password: 'not the password', registration_token },
      { email, password, registration_token: 'x' },
      { email: server.freshEmail(), password, registration_token },
      asStranger,
    ])
      t.match((await server.post('/auth/login', refused)).body, {
        code: 'invalid_credentials',
        detail: /open the link in our mail first/,
      })
    t.equal((await server.mailsTo(email)).length, mails)
    const right = await server.post('/auth/login', { email, password, registration_token })
    t.match(right, { status: 403, body: { code: 'email_not_verified' } })
    t.equal((await server.mailsTo(email)).length, mails + 1, 'its mail is sent again')
    const cookie = `ratchet-registration-dev=${registration_token}`
    t.equal((await server.post('/auth/login', { email, password }, { headers: { cookie } })).status, 403)
  }
})

t.test('the right password of the account signs in, whatever registration token is sent along', async (t) => {
  const account = await server.createAccount()
  const { body } = await server.post('/auth/register', { ...account, transport: 'body' })
  const { registration_token } = body
  t.equal((await server.post('/auth/login', { ...account, registration_token })).status, 200)
})

t.test('a refusal after the right password counts as a failed guess', async (t) => {
  const email = server.freshEmail()
  const password = 'the password of a registration'
  const { body } = await server.post('/auth/register', { email, password, transport: 'body' })
  const { registration_token } = body
  const answers: number[] = []
  for (let count = 0; count < 11; count += 1)
    answers.push((await server.post('/auth/login', { email, password, registration_token })).status)
  t.strictSame(answers, [...Array(10).fill(403), 429])

  const account = await server.createAccount()
  const where = { email: account.email }
  await server.db.user.update({ where, data: { resetRequiredAt: new Date() } })
  const required = await twenty(() => server.post('/auth/login', account))
  t.equal(required.filter(({ status }) => status === 403).length, 10)
  t.equal(required.filter(({ status }) => status === 429).length, 10)
})

t.test('an address costs as many hashes with an account as without one', async (t) => {
  const password = 'the password of a registration'
  const hashes = async (email: string, registration_token?: string) => {
    let count = 0
    const guess = { email, password: 'not the password', registration_token }
    await duringSignIn(server, guess, async () => void count++)
    return count
  }
  const counts = []
  for (const email of [server.freshEmail(), (await server.createAccount()).email]) {
    const { body } = await server.post('/auth/register', { email, password, transport: 'body' })
    counts.push([await hashes(email), await hashes(email, body.registration_token), await hashes(email, 'x')])
  }
  t.strictSame(counts[0], [1, 2, 1])
  t.strictSame(counts[1], counts[0])
})

t.test('the address is found in any spelling; the password is compared exactly', async (t) => {
  const email = server.freshEmail()
  const password = 'pässword with 🔑 and \u0000 and space '
  await server.post('/auth/register', { email, password })
  await server.post('/auth/verify-email', { token: await server.lastToken(email), password })
  t.equal((await server.post('/auth/login', { email: `  ${email.toUpperCase()} `, password })).status, 200)
  t.equal((await server.post('/auth/login', { email, password: password.normalize('NFD') })).status, 200)
  t.equal((await server.post('/auth/login', { email, password: password.trim() })).status, 401)
  t.equal((await server.post('/auth/login', { email, password: password.split('\u0000')[0] })).status, 401)
})

t.test('an address whose lower-case letters compose and whose capitals do not is one address', async (t) => {
  const rest = server.freshEmail()
  // The capital of U+01F0 is more than one code point.
  const small = `\u01f0${rest}`
  await server.post('/auth/register', { email: `J\u030c${rest}`, password: server.password })
  await server.post('/auth/verify-email', { token: await server.lastToken(small), password: server.password })
  t.equal((await server.db.user.findMany({ where: { email: small } })).length, 1)
  t.equal((await server.post('/auth/login', { email: small, password: server.password })).status, 200)
})

t.test('a sign-in renews a hash with weaker parameters', async (t) => {
  const account = await server.createAccount()
  const before = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const stronger = await startServer(t, {
    databaseUrl: server.databaseUrl,
    env: { ARGON2_MEMORY_KIB: '2048' },
  })
  t.equal((await stronger.post('/auth/login', account)).status, 200)
  const after = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  t.match(before.passwordHash, /m=1024/)
  t.match(after.passwordHash, /m=2048/)
  t.equal((await stronger.post('/auth/login', account)).status, 200)
})

t.test('a password that NFC shortens can be used as it was entered', async (t) => {
  const email = server.freshEmail()
  const password = 'ŕéśúćáźńóýíĺ'.normalize('NFD').repeat(6)
  t.equal((await server.post('/auth/register', { email, password })).status, 202)
  await server.post('/auth/verify-email', { token: await server.lastToken(email), password })
  for (const spelling of [password, password.normalize('NFC')]) {
    t.equal((await server.post('/auth/login', { email, password: spelling })).status, 200)
  }
})
