import { decodeJwt } from 'jose'
import pg from 'pg'
import t from 'tap'
import { LASTING_FAILURES, LOCK_FAILURES, LOCK_MS } from '../../../src/core/lockout/counters.ts'
import { MFA_TICKET_TTL } from '../../../src/core/sign-in/sign-in.ts'
import { eventually } from '../../support/eventually.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const APP = 'https://app.example.com'

/** A verified account with an authenticator app, after the step of its last code. */
async function accountWithTotp() {
  const account = await server.createAccount()
  const { access_token: bearer, device_token } = await server.login(account)
  const { secret } = (await server.post('/auth/mfa/totp', { password: account.password }, { bearer })).body
  const confirmed = await server.post(
    '/auth/mfa/totp/confirm',
    { code: totpCode(secret, clock.now()) },
    { bearer },
  )
  const recoveryCodes: string[] = confirmed.body.recovery_codes
  clock.advance(60_000)
  return { account, bearer, device_token, secret, recoveryCodes, code: () => totpCode(secret, clock.now()) }
}
const firstStep = (account: { email: string; password: string }, transport = 'body') =>
  server.post('/auth/login', { ...account, transport })
const ticketOf = async (account: { email: string; password: string }): Promise<string> =>
  (await firstStep(account)).body.mfa_token
const secondStep = (body: object) => server.post('/auth/login/mfa', body)
const wrongCode = (code: string) => String((Number(code) + 500_000) % 1_000_000).padStart(6, '0')

t.test('the right password gets a ticket, and the code gets a session', async (t) => {
  const { account, code } = await accountWithTotp()
  const wrong = await firstStep({ ...account, password: 'not the password' })
  t.match(wrong.body, { status: 401, code: 'invalid_credentials' })
  t.notOk('mfa_token' in wrong.body)
  const first = await firstStep(account)
  t.match(first.body, { status: 401, code: 'mfa_required', methods: ['totp', 'recovery_code'] })
  t.equal(first.headers.get('cache-control'), 'no-store')
  t.equal(first.headers.getSetCookie().length, 0)
  t.notOk('access_token' in first.body)
  const answer = await secondStep({ mfa_token: first.body.mfa_token, code: code() })
  t.equal(answer.status, 200)
  t.match(answer.body.user, { email: account.email, mfa_enabled: true })
  t.match(answer.body.refresh_token, /^rt1_/)
  t.match(answer.body.device_token, /^dt1_/)
  t.strictSame(decodeJwt(answer.body.access_token).amr, ['pwd', 'otp', 'mfa'])
  const again = await secondStep({ mfa_token: first.body.mfa_token, code: code() })
  t.match(again.body, { status: 401, code: 'mfa_invalid' })
})

t.test('with cookie transport the second step sets the cookie, only for our own pages', async (t) => {
  const { account, code } = await accountWithTotp()
  const { mfa_token } = (await firstStep(account, 'cookie')).body
  const foreign = await server.post(
    '/auth/login/mfa',
    { mfa_token, code: code() },
    { headers: { origin: 'https://evil.example' } },
  )
  t.match(foreign.body, { status: 403, code: 'origin_not_allowed' })
  const answer = await server.post(
    '/auth/login/mfa',
    { mfa_token, code: code() },
    { headers: { origin: APP } },
  )
  t.equal(answer.status, 200)
  t.notOk('refresh_token' in answer.body || 'device_token' in answer.body)
  t.match(answer.headers.getSetCookie(), [/^ratchet-dev=rt1_/, /^ratchet-device-dev=dt1_/])
})

t.test('of 20 parallel uses of a ticket, a code or a recovery code one succeeds', async (t) => {
  const right = (answers: { status: number }[]) => answers.filter(({ status }) => status === 200).length
  const one = await accountWithTotp()
  const mfa_token = await ticketOf(one.account)
  const codes = one.recoveryCodes
  t.equal(right(await twenty((index) => secondStep({ mfa_token, recovery_code: codes[index % 10] }))), 1)
  const left = await server.db.recoveryCode.count({ where: { user: { email: one.account.email } } })
  t.equal(left, 9, 'a spent ticket uses up no codes')
  for (const shows of ['code', 'recovery_code'] as const) {
    const { account, code, recoveryCodes } = await accountWithTotp()
    const tickets = await twenty(() => ticketOf(account))
    const proof = shows === 'code' ? { code: code() } : { recovery_code: recoveryCodes[0] }
    t.equal(right(await twenty((index) => secondStep({ mfa_token: tickets[index], ...proof }))), 1, shows)
  }
})

t.test('a recovery code signs in once, in any spelling, and the owner is notified', async (t) => {
  const { account, recoveryCodes } = await accountWithTotp()
  const recovery_code = ` ${(recoveryCodes[0] as string).toUpperCase().replaceAll('-', ' ')} `
  const answer = await secondStep({ mfa_token: await ticketOf(account), recovery_code })
  t.equal(answer.status, 200)
  const again = await secondStep({ mfa_token: await ticketOf(account), recovery_code })
  t.match(again.body, { status: 401, code: 'mfa_invalid' })
  t.ok(
    (await server.mailsTo(account.email)).some(({ subject }) =>
      /recovery code of your account was used/.test(subject),
    ),
  )
})

t.test('a ticket works only here, for five minutes, and not after a password change', async (t) => {
  const { account, code, bearer } = await accountWithTotp()
  const ticket = await ticketOf(account)
  t.equal((await server.call('GET', '/me', { bearer: ticket })).status, 401)
  t.equal((await server.post('/auth/refresh', { refresh_token: ticket })).status, 401)
  t.equal((await server.post('/auth/unlock', { token: ticket })).status, 400)
  clock.advance(MFA_TICKET_TTL * 1_000 + 1)
  t.match((await secondStep({ mfa_token: ticket, code: code() })).body, { code: 'mfa_invalid' })
  const fresh = await ticketOf(account)
  const changed = await server.post(
    '/auth/change-password',
    { current_password: account.password, new_password: 'another long passphrase' },
    { bearer: (await secondStep({ mfa_token: await ticketOf(account), code: code() })).body.access_token },
  )
  t.equal(changed.status, 204)
  clock.advance(30_000)
  t.match((await secondStep({ mfa_token: fresh, code: code() })).body, { code: 'mfa_invalid' })
  t.ok(bearer)
})

t.test('the refusal of an invalidated ticket is recorded', async (t) => {
  const { account, code } = await accountWithTotp()
  const ticket = await ticketOf(account)
  const { id: userId } = await server.db.user.update({
    where: { email: account.email },
    data: { disabledAt: new Date() },
  })
  const count = (owner: string | null) =>
    server.db.auditEvent.count({ where: { userId: owner, type: 'login', reason: 'ticket_invalid' } })
  const nobody = await count(null)
  t.equal((await secondStep({ mfa_token: ticket, code: code() })).status, 401)
  t.equal((await secondStep({ mfa_token: 'x', code: code() })).status, 401)
  t.equal(await count(userId), 1)
  t.equal(await count(null), nobody + 1)
})

t.test(
  'altered, foreign and malformed tickets and codes get the same refusal, and change nothing',
  async (t) => {
    const { account, code, secret } = await accountWithTotp()
    const other = await accountWithTotp()
    const mfa_token = await ticketOf(account)
    const altered = `${mfa_token.slice(0, -2)}${mfa_token.endsWith('AA') ? 'BB' : 'AA'}`
    for (const bad of [altered, `${mfa_token}=`, `${mfa_token} `, 'x', other.secret]) {
      t.match((await secondStep({ mfa_token: bad, code: code() })).body, { status: 401, code: 'mfa_invalid' })
    }
    for (const bad of ['', 123456, null, ['1'], {}, 'x'.repeat(33)]) {
      t.equal((await secondStep({ mfa_token, code: bad })).status, 400)
    }
    const refused = { status: 401, code: 'mfa_invalid' }
    for (const bad of [
      '١٢٣٤٥٦',
      '１２３４５６',
      '+12345',
      '1e5',
      '000000\u0000',
      totpCode(other.secret, clock.now()),
    ]) {
      t.match((await secondStep({ mfa_token, code: bad })).body, refused)
    }
    t.equal((await secondStep({ mfa_token })).status, 400, 'no proof sent')
    const two = { mfa_token, code: code(), recovery_code: 'aaaa-aaaa-aaaa-aaaa' }
    t.match((await secondStep(two)).body, { code: 'validation_failed' }, 'two proofs sent')
    t.equal((await secondStep({ mfa_token, code: code(), mfa_enabled: false })).status, 400)
    t.equal(
      (await server.post('/auth/login', { ...account, mfa: 'done' })).status,
      400,
      'extra fields skip no check',
    )
    t.equal((await secondStep({ mfa_token, code: totpCode(secret, clock.now()) })).status, 200)
  },
)

t.test('guesses are capped per account, with any number of tickets and addresses', async (t) => {
  const { account, code, device_token } = await accountWithTotp()
  const tickets = await Promise.all(Array.from({ length: 10 }, () => ticketOf(account)))
  // On a busy machine some are answered with 503, which does not judge the guess: they are repeated.
  const insist = async (body: object) => {
    let answer = await secondStep(body)
    while (answer.status === 503) answer = await secondStep(body)
    return answer
  }
  const guesses = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      insist({ mfa_token: tickets[index % 10], code: wrongCode(code()) }),
    ),
  )
  t.equal(guesses.filter(({ status }) => status === 401).length, LOCK_FAILURES)
  t.equal(guesses.filter(({ status }) => status === 429).length, 100 - LOCK_FAILURES)
  t.equal((await secondStep({ mfa_token: tickets[0], code: code() })).status, 429)
  const [mail, ...others] = (await server.mailsTo(account.email)).filter(({ subject }) =>
    /failed/.test(subject),
  )
  t.match(mail?.text, /somebody knows your password/)
  t.equal(others.length, 0)
  const known = await secondStep({ mfa_token: tickets[1], code: code(), device_token })
  t.equal(known.status, 200, 'a known device has its own count')
})

t.test('a lock of the password does not suppress the mail about a lock of the second factor', async (t) => {
  const { account, code } = await accountWithTotp()
  await twenty(() => firstStep({ ...account, password: 'not the password' }))
  for (let round = 0; round < 2; round += 1) {
    clock.advance(LOCK_MS + 1_000)
    const mfa_token = await ticketOf(account)
    await twenty(() => secondStep({ mfa_token, code: wrongCode(code()) }))
  }
  const mails = (await server.mailsTo(account.email)).filter(({ subject }) => /failed/.test(subject))
  t.equal(mails.length, 2, 'one of each kind')
  t.match(mails[0]?.text, /nobody has got into your account/)
  t.match(mails[1]?.text, /somebody knows your password/)
})

t.test('the lasting cap applies to the second factor, and the mailed link lifts it', async (t) => {
  const { account, code } = await accountWithTotp()
  for (let round = 0; round < LASTING_FAILURES / LOCK_FAILURES; round += 1) {
    const mfa_token = await ticketOf(account)
    const answers = await Promise.all(
      Array.from({ length: LOCK_FAILURES }, () => secondStep({ mfa_token, code: wrongCode(code()) })),
    )
    t.ok(answers.every(({ status }) => status === 401))
    clock.advance(LOCK_MS + 1_000)
  }
  const late = await secondStep({ mfa_token: await ticketOf(account), code: code() })
  t.equal(late.status, 429)
  t.equal((await server.post('/auth/unlock', { token: await server.lastToken(account.email) })).status, 200)
  t.equal((await secondStep({ mfa_token: await ticketOf(account), code: code() })).status, 200)
})

t.test('mailed links lift the lock of the second factor at most three times a day', async (t) => {
  const { account, code } = await accountWithTotp()
  const lock = async () => {
    const mfa_token = await ticketOf(account)
    await twenty(() => secondStep({ mfa_token, code: wrongCode(code()) }))
  }
  const unlock = async () => server.post('/auth/unlock', { token: await server.lastToken(account.email) })
  for (let lift = 0; lift < 3; lift += 1) {
    await lock()
    t.equal((await secondStep({ mfa_token: await ticketOf(account), code: code() })).status, 429)
    t.equal((await unlock()).status, 200)
    clock.advance(30_000)
    t.equal((await secondStep({ mfa_token: await ticketOf(account), code: code() })).status, 200)
    clock.advance(3_600_000)
  }
  await lock()
  t.equal((await unlock()).status, 200)
  clock.advance(30_000)
  t.equal((await secondStep({ mfa_token: await ticketOf(account), code: code() })).status, 429)
  clock.advance(LOCK_MS)
  t.equal(
    (await secondStep({ mfa_token: await ticketOf(account), code: code() })).status,
    200,
    'waiting lifts it',
  )
})

t.test('a password reset neither signs in nor bypasses the second factor', async (t) => {
  const { account } = await accountWithTotp()
  await server.post('/auth/request-password-reset', { email: account.email })
  const password = 'another long passphrase'
  const reset = await server.post('/auth/reset-password', {
    token: await server.lastToken(account.email),
    password,
  })
  t.equal(reset.status, 204)
  t.match((await firstStep({ ...account, password })).body, { code: 'mfa_required' })
  t.match(
    (await server.mailsTo(account.email)).at(-1)?.text,
    /Still set up for this account: an authenticator app/,
  )
})

t.test('a sign-in that waits while a second factor is added asks for it', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { secret } = (await server.post('/auth/mfa/totp', { password: account.password }, { bearer })).body
  const holder = new pg.Client({ connectionString: server.databaseUrl })
  await holder.connect()
  const waiting = async () => {
    const { rows } = await holder.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
    return rows[0].count
  }
  // Both wait for this lock, first the confirmation and then the sign-in.
  await holder.query('BEGIN')
  await holder.query('SELECT FROM users WHERE email = $1 FOR UPDATE', [account.email])
  const confirmed = server.post('/auth/mfa/totp/confirm', { code: totpCode(secret, clock.now()) }, { bearer })
  await eventually(async () => (await waiting()) === 1)
  const signedIn = firstStep(account)
  await eventually(async () => (await waiting()) === 2)
  await holder.query('COMMIT')
  await holder.end()
  t.equal((await confirmed).status, 200)
  t.match((await signedIn).body, { code: 'mfa_required' })
})

t.test('a sign-in that began without a factor cannot bypass one set up meanwhile', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { secret } = (await server.post('/auth/mfa/totp', { password: account.password }, { bearer })).body
  const [confirmed, ...signIns] = await Promise.all([
    server.post('/auth/mfa/totp/confirm', { code: totpCode(secret, clock.now()) }, { bearer }),
    ...Array.from({ length: 10 }, () => firstStep(account)),
  ])
  t.equal(confirmed.status, 200)
  for (const { status } of signIns) t.ok([200, 401].includes(status))
  t.match((await firstStep(account)).body, { code: 'mfa_required' })
})
