import t from 'tap'
import { startServer } from '../../support/server.ts'

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
      })
    }
    t.equal(
      await server.db.auditEvent.count({ where: { type: 'login', outcome: 'failure' } }),
      attempts.length,
    )
  },
)

t.test('an unverified address is reported only after the right password', async (t) => {
  const email = server.freshEmail()
  await server.post('/auth/register', { email, password: server.password })
  t.equal(
    (await server.post('/auth/login', { email, password: 'not the password' })).body.code,
    'invalid_credentials',
  )
  const right = await server.post('/auth/login', { email, password: server.password })
  t.equal(right.status, 403)
  t.equal(right.body.code, 'email_not_verified')
})

t.test('the address is found in any spelling; the password is compared exactly', async (t) => {
  const email = server.freshEmail()
  const password = 'pässword with 🔑 and \u0000 and space '
  await server.post('/auth/register', { email, password })
  await server.post('/auth/verify-email', { token: await server.lastToken(email) })
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
  await server.post('/auth/verify-email', { token: await server.lastToken(small) })
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
  const password = 'e\u0301'.repeat(70)
  t.equal((await server.post('/auth/register', { email, password })).status, 202)
  await server.post('/auth/verify-email', { token: await server.lastToken(email) })
  for (const spelling of [password, password.normalize('NFC')]) {
    t.equal((await server.post('/auth/login', { email, password: spelling })).status, 200)
  }
})
