import t from 'tap'
import { eventually } from '../../support/eventually.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const STEP_MS = 30_000

/** What an app shows, one step later, so that the code differs from all earlier ones. */
function shown(secret: string): string {
  clock.advance(STEP_MS)
  return totpCode(secret, clock.now())
}
const wrong = (secret: string) => `${(Number(shown(secret)) + 1) % 1_000_000}`.padStart(6, '0')

async function person() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const { password } = account
  return {
    ...account,
    id,
    bearer,
    enrol: (proof: object = { password }) => server.post('/auth/mfa/totp', proof, { bearer }),
    confirm: (code: string) => server.post('/auth/mfa/totp/confirm', { code }, { bearer }),
    disable: (proof: object) => server.call('DELETE', '/auth/mfa/totp', { bearer, body: proof }),
    factors: async () => (await server.call('GET', '/auth/mfa', { bearer })).body,
    mfaEnabled: async () => (await server.call('GET', '/me', { bearer })).body.mfa_enabled,
  }
}

async function withApp() {
  const ada = await person()
  const { secret } = (await ada.enrol()).body
  const { recovery_codes: codes } = (await ada.confirm(shown(secret))).body
  return { ...ada, secret: secret as string, codes: codes as string[] }
}

const events = async (userId: string, type: string) =>
  (await server.db.auditEvent.findMany({ where: { userId, type }, orderBy: { id: 'asc' } })).map(
    ({ outcome, reason }) => [outcome, reason].filter(Boolean).join(' '),
  )
const subjects = async (address: string) => (await server.mailsTo(address)).map(({ subject }) => subject)

t.test('setting up an app takes a secret and a code, and creates ten recovery codes', async (t) => {
  const ada = await person()
  t.strictSame(await ada.factors(), { totp: false, passkeys: 0, recovery_codes: 0, reset: null })
  const enrolment = await ada.enrol()
  t.equal(enrolment.status, 200)
  t.equal(enrolment.headers.get('cache-control'), 'no-store')
  t.strictSame(Object.keys(enrolment.body).sort(), ['otpauth_uri', 'qr_svg', 'secret'])
  const { secret, otpauth_uri: uri, qr_svg: svg } = enrolment.body
  t.match(secret, /^[A-Z2-7]{32}$/)
  t.equal(new URL(uri).searchParams.get('secret'), secret)
  t.equal(decodeURIComponent(new URL(uri).pathname), `/localhost:${ada.email}`)
  t.match(svg, /^<svg /)
  t.strictSame(await ada.factors(), { totp: false, passkeys: 0, recovery_codes: 0, reset: null }, 'not yet')
  t.equal(await ada.mfaEnabled(), false)

  const code = shown(secret)
  const confirmed = await ada.confirm(`${code.slice(0, 3)} ${code.slice(3)}`)
  t.equal(confirmed.status, 200)
  t.equal(confirmed.headers.get('cache-control'), 'no-store')
  t.equal(new Set(confirmed.body.recovery_codes).size, 10)
  t.strictSame(await ada.factors(), { totp: true, passkeys: 0, recovery_codes: 10, reset: null })
  await eventually(ada.mfaEnabled)
  t.strictSame(await events(ada.id, 'totp_enable'), ['success'])
  t.strictSame(await events(ada.id, 'recovery_codes_create'), ['success'])
  t.match((await subjects(ada.email)).at(-1), /^An authenticator app was set up/)
})

t.test('a sign-in says whether the account has a second factor', async (t) => {
  const ada = await person()
  const { email, password } = ada
  const login = () => server.post('/auth/login', { email, password, transport: 'body' })
  t.equal((await login()).body.user.mfa_enabled, false)
  const { secret } = (await ada.enrol()).body
  t.equal((await login()).body.user.mfa_enabled, false, 'not before it is confirmed')
  t.equal((await ada.confirm(shown(secret))).status, 200)
  const { mfa_token } = (await login()).body
  const signedIn = await server.post('/auth/login/mfa', { mfa_token, code: shown(secret) })
  t.equal(signedIn.body.user.mfa_enabled, true)
  const bearer = signedIn.body.access_token
  await eventually(ada.mfaEnabled)
  await server.db.user.update({ where: { id: ada.id }, data: { roles: ['editor', 'a "quoted" one'] } })
  const renamed = await server.call('PATCH', '/me', { bearer, body: { name: 'Grace' } })
  t.match(renamed.body, { name: 'Grace', mfa_enabled: true, roles: ['editor', 'a "quoted" one'] })
})

t.test(
  'a wrong code does not turn the app on; its error differs from that for a missing enrolment',
  async (t) => {
    const ada = await person()
    t.match((await ada.confirm('123456')).body, { status: 404, code: 'not_found' })
    const { secret } = (await ada.enrol()).body
    for (const code of [wrong(secret), '１２３４５６', '1e5', '-12345', ' ', '12345', '\u0000', '😀']) {
      t.match((await ada.confirm(code)).body, { status: 401, code: 'mfa_invalid' }, code)
    }
    t.strictSame(await ada.factors(), { totp: false, passkeys: 0, recovery_codes: 0, reset: null })
    t.equal((await ada.confirm(shown(secret))).status, 200)
    t.strictSame(await events(ada.id, 'totp_enable'), [...Array(8).fill('failure wrong_code'), 'success'])
    t.match((await ada.confirm(shown(secret))).body, { status: 409, code: 'mfa_already_enabled' })
    t.match((await ada.enrol()).body, { status: 409, code: 'mfa_already_enabled' })
  },
)

t.test('setup requires the password, and counts and records wrong ones', async (t) => {
  const ada = await person()
  t.match((await ada.enrol({ password: 'not the password' })).body, {
    status: 401,
    code: 'invalid_credentials',
  })
  t.strictSame(await events(ada.id, 'totp_enable'), ['failure wrong_password'])
  t.equal(await server.db.totpFactor.count({ where: { userId: ada.id } }), 0)
})

t.test('an account with a passkey needs it to add an app', async (t) => {
  const ada = await person()
  await server.db.passkey.create({
    data: {
      id: ada.id,
      userId: ada.id,
      credentialId: new Uint8Array(16),
      publicKey: new Uint8Array(),
      counter: 0n,
      name: 'a key',
      backedUp: false,
      createdAt: new Date(clock.now()),
    },
  })
  t.match((await ada.enrol()).body, { status: 401, code: 'mfa_required', methods: ['passkey'] })
  t.match(await ada.factors(), { totp: false, passkeys: 1 })
  await eventually(ada.mfaEnabled)
})

t.test('guesses at the code are capped, and the owner is notified', async (t) => {
  const ada = await person()
  const { secret } = (await ada.enrol()).body
  const guess = wrong(secret)
  const answers = await twenty(() => ada.confirm(guess))
  t.equal(answers.filter(({ body }) => body.code === 'mfa_invalid').length, 10)
  t.equal(answers.filter(({ status }) => status === 429).length, 10)
  t.equal((await ada.confirm(shown(secret))).status, 429, 'the right code comes too late')
  t.strictSame(await events(ada.id, 'lock'), ['success step_up_factor_here'])
  t.match((await subjects(ada.email)).at(-1), /^Too many/)
  t.strictSame(await ada.factors(), { totp: false, passkeys: 0, recovery_codes: 0, reset: null })
})

t.test('a right password does not clear the count of wrong factors', async (t) => {
  const ada = await withApp()
  const proof = { password: ada.password, code: wrong(ada.secret) }
  for (let guess = 1; guess <= 10; guess += 1)
    t.match((await ada.disable(proof)).body, { code: 'mfa_invalid' })
  t.equal((await ada.disable(proof)).status, 429)
  t.equal((await ada.disable({ ...proof, code: shown(ada.secret) })).status, 429)
  t.strictSame(await events(ada.id, 'lock'), ['success step_up_factor_here'])
})

t.test('of 20 parallel confirmations one succeeds, with the only set of codes', async (t) => {
  const ada = await person()
  const { secret } = (await ada.enrol()).body
  const code = shown(secret)
  const answers = await twenty(() => ada.confirm(code))
  const [winner, ...others] = answers.filter(({ status }) => status === 200)
  t.strictSame(others, [])
  t.equal(answers.filter(({ body }) => body.code === 'mfa_already_enabled').length, 19)
  t.strictSame(await ada.factors(), { totp: true, passkeys: 0, recovery_codes: 10, reset: null })
  t.equal(winner?.body.recovery_codes.length, 10)
  t.strictSame(await events(ada.id, 'totp_enable'), ['success'])
  t.equal((await subjects(ada.email)).filter((subject) => /authenticator/.test(subject)).length, 1)
})

t.test('of 20 parallel enrolments one secret can be confirmed', async (t) => {
  const ada = await person()
  const answers = await twenty(() => ada.enrol())
  for (const { status } of answers) t.equal(status, 200)
  const { sealedSecret } = await server.db.totpFactor.findUniqueOrThrow({ where: { userId: ada.id } })
  let confirmed = 0
  // One after the other and below the cap; the last secret is tried first.
  for (const { body } of answers) {
    const { status } = await ada.confirm(totpCode(body.secret, clock.now()))
    if (status === 200) confirmed += 1
    else await server.db.guessCounter.deleteMany()
  }
  t.equal(confirmed, 1)
  const factor = await server.db.totpFactor.findUniqueOrThrow({ where: { userId: ada.id } })
  t.strictSame(factor.sealedSecret, sealedSecret)
})

t.test(
  'an enrolment during a confirmation never leaves an app in use that its owner has not seen',
  async (t) => {
    const ada = await person()
    const { secret } = (await ada.enrol()).body
    const code = shown(secret)
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => ada.enrol()),
      ada.confirm(code),
      ...Array.from({ length: 5 }, () => ada.enrol()),
    ])
    const confirmed = answers[5]?.status === 200
    t.equal((await ada.factors()).totp, confirmed)
    for (const { status } of answers) t.ok([200, 401, 409].includes(status), `${status}`)
    if (confirmed) t.equal((await ada.disable({ password: ada.password, code: shown(secret) })).status, 204)
  },
)

t.test('an app is turned off with password and factor, and its codes are removed', async (t) => {
  const ada = await withApp()
  const { password } = ada
  t.match((await ada.disable({ password })).body, {
    status: 401,
    code: 'mfa_required',
    methods: ['totp', 'recovery_code'],
  })
  t.match((await ada.disable({ password: 'not the password', code: shown(ada.secret) })).body, {
    code: 'invalid_credentials',
  })
  t.match((await ada.disable({ password, code: wrong(ada.secret) })).body, {
    status: 401,
    code: 'mfa_invalid',
  })
  t.match((await ada.disable({ password, code: shown(ada.secret), recovery_code: ada.codes[0] })).body, {
    code: 'validation_failed',
  })
  t.strictSame(await ada.factors(), { totp: true, passkeys: 0, recovery_codes: 10, reset: null })
  const gone = await ada.disable({ password, code: shown(ada.secret) })
  t.equal(gone.status, 204)
  t.equal(gone.text, '')
  t.strictSame(await ada.factors(), { totp: false, passkeys: 0, recovery_codes: 0, reset: null })
  await eventually(async () => !(await ada.mfaEnabled()))
  t.match(await events(ada.id, 'totp_disable'), [/^failure/, /^failure/, 'success'])
  t.match((await subjects(ada.email)).at(-1), /^Your authenticator app was turned off/)
  t.match((await ada.disable({ password, code: shown(ada.secret) })).body, { code: 'not_found' })
  const again = await ada.enrol()
  t.not(again.body.secret, ada.secret)
  t.equal((await ada.confirm(shown(ada.secret))).status, 401, 'the old secret no longer works')
  t.equal((await ada.confirm(shown(again.body.secret))).status, 200)
})

t.test('a recovery code turns the app off too; with a passkey left the codes stay', async (t) => {
  const ada = await withApp()
  await server.db.passkey.create({
    data: {
      id: ada.id,
      userId: ada.id,
      credentialId: new Uint8Array(17),
      publicKey: new Uint8Array(),
      counter: 0n,
      name: 'a key',
      backedUp: false,
      createdAt: new Date(clock.now()),
    },
  })
  const recovery_code = `${ada.codes[3]}`.toUpperCase().replaceAll('-', ' ')
  t.equal((await ada.disable({ password: ada.password, recovery_code })).status, 204)
  t.strictSame(await ada.factors(), { totp: false, passkeys: 1, recovery_codes: 9, reset: null })
})

t.test('of 20 parallel attempts to turn it off with one code, one succeeds', async (t) => {
  const ada = await withApp()
  const code = shown(ada.secret)
  const answers = await twenty(() => ada.disable({ password: ada.password, code }))
  t.equal(answers.filter(({ status }) => status === 204).length, 1)
  t.equal((await events(ada.id, 'totp_disable')).filter((event) => event === 'success').length, 1)
})

t.test('a code that confirmed or was used does not work again', async (t) => {
  const ada = await person()
  const { secret } = (await ada.enrol()).body
  const code = shown(secret)
  await ada.confirm(code)
  t.match((await ada.disable({ password: ada.password, code })).body, { code: 'mfa_invalid' })
  const used = shown(secret)
  const renew = (proof: object) =>
    server.post('/auth/mfa/recovery-codes', { password: ada.password, ...proof }, { bearer: ada.bearer })
  t.equal((await renew({ code: used })).status, 200)
  t.match((await renew({ code: used })).body, { code: 'mfa_invalid' })
  t.match((await ada.disable({ password: ada.password, code: used })).body, { code: 'mfa_invalid' })
})

t.test('malformed input is refused, and so are calls without a bearer token', async (t) => {
  const ada = await person()
  const { bearer, password } = ada
  const refused = [
    ['POST', '/auth/mfa/totp', {}],
    ['POST', '/auth/mfa/totp', { password, user_id: ada.id }],
    ['POST', '/auth/mfa/totp', { password: { $ne: '' } }],
    ['POST', '/auth/mfa/totp', { password, code: 123456 }],
    ['POST', '/auth/mfa/totp', [password]],
    ['POST', '/auth/mfa/totp?password=x', { password }],
    ['POST', '/auth/mfa/totp/confirm', {}],
    ['POST', '/auth/mfa/totp/confirm', { code: '' }],
    ['POST', '/auth/mfa/totp/confirm', { code: 123456 }],
    ['POST', '/auth/mfa/totp/confirm', { code: ['123456'] }],
    ['POST', '/auth/mfa/totp/confirm', { code: null }],
    ['POST', '/auth/mfa/totp/confirm', { code: '1'.repeat(33) }],
    ['POST', '/auth/mfa/totp/confirm', { code: '123456', password }],
    ['DELETE', '/auth/mfa/totp', { code: '123456' }],
    ['DELETE', '/auth/mfa/totp', { password, code: '123456', secret: 'x' }],
    ['DELETE', '/auth/mfa/totp', { password, recovery_code: 'a'.repeat(65) }],
    ['GET', '/auth/mfa?x=1', undefined],
  ] as const
  for (const [method, path, body] of refused) {
    const answer = await server.call(method, path, { bearer, body })
    t.match(
      answer.body,
      { status: 400, code: 'validation_failed' },
      `${method} ${path} ${JSON.stringify(body)}`,
    )
  }
  for (const [method, path, body] of [
    ['GET', '/auth/mfa', undefined],
    ['POST', '/auth/mfa/totp', { password }],
    ['POST', '/auth/mfa/totp/confirm', { code: '123456' }],
    ['DELETE', '/auth/mfa/totp', { password }],
    ['POST', '/auth/mfa/recovery-codes', { password }],
  ] as const) {
    t.match((await server.call(method, path, { body })).body, { status: 401, code: 'access_token_invalid' })
  }
  t.equal(await server.db.totpFactor.count({ where: { userId: ada.id } }), 0)
})

t.test('no log line and no event contains a secret or a code', async (t) => {
  const ada = await withApp()
  const code = shown(ada.secret)
  await ada.disable({ password: ada.password, code: wrong(ada.secret) })
  await ada.disable({ password: ada.password, code })
  const told =
    server.logs.join('') + JSON.stringify(await server.db.auditEvent.findMany({ where: { userId: ada.id } }))
  for (const secret of [ada.secret, ...ada.codes, 'otpauth:']) t.notOk(told.includes(secret))
})

t.test('the last factor stays if the password is long enough only with a second factor', async (t) => {
  const ada = await withApp()
  const short = 'nine ch r'
  const change = { current_password: ada.password, new_password: short }
  t.equal((await server.post('/auth/change-password', change, { bearer: ada.bearer })).status, 204)
  const kept = await ada.disable({ password: short, code: shown(ada.secret) })
  t.match(kept.body, { status: 400, code: 'password_too_weak', reasons: ['too_short'] })
  t.equal((await ada.factors()).totp, true)
  const longer = { current_password: short, new_password: 'another long passphrase' }
  t.equal((await server.post('/auth/change-password', longer, { bearer: ada.bearer })).status, 204)
  t.equal((await ada.disable({ password: longer.new_password, code: shown(ada.secret) })).status, 204)
})
