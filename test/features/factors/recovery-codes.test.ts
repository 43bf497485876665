import t from 'tap'
import { movableClock, startServer, twenty } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

/** An account with an authenticator app; `code` returns a fresh code at each call. */
async function withApp() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const { password } = account
  const { secret } = (await server.post('/auth/mfa/totp', { password }, { bearer })).body
  const code = () => {
    clock.advance(30_000)
    return totpCode(secret, clock.now())
  }
  const confirmed = await server.post('/auth/mfa/totp/confirm', { code: code() }, { bearer })
  return {
    ...account,
    id,
    code,
    codes: confirmed.body.recovery_codes as string[],
    renew: (proof: object) => server.post('/auth/mfa/recovery-codes', { password, ...proof }, { bearer }),
    left: async () => (await server.call('GET', '/auth/mfa', { bearer })).body.recovery_codes as number,
  }
}

t.test('new codes replace the old ones, and require password and factor', async (t) => {
  const ada = await withApp()
  t.match((await ada.renew({})).body, {
    status: 401,
    code: 'mfa_required',
    methods: ['totp', 'recovery_code'],
  })
  t.match((await ada.renew({ code: '000' })).body, { status: 401, code: 'mfa_invalid' })
  t.match((await ada.renew({ password: 'not the password', code: ada.code() })).body, {
    code: 'invalid_credentials',
  })
  const answer = await ada.renew({ code: ada.code() })
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  const fresh: string[] = answer.body.recovery_codes
  t.equal(new Set([...fresh, ...ada.codes]).size, 20)
  t.equal(await ada.left(), 10)
  t.match((await ada.renew({ recovery_code: ada.codes[0] })).body, { code: 'mfa_invalid' }, 'an old one')
  const again = await ada.renew({ recovery_code: fresh[0] })
  t.equal(again.status, 200, 'a recovery code is a factor here too')
  t.match((await ada.renew({ recovery_code: fresh[0] })).body, { code: 'mfa_invalid' })
  t.match((await ada.renew({ recovery_code: fresh[1] })).body, { code: 'mfa_invalid' })
  const events = await server.db.auditEvent.findMany({
    where: { userId: ada.id, type: 'recovery_codes_create' },
  })
  t.equal(events.filter(({ outcome }) => outcome === 'success').length, 3)
  t.strictSame(
    new Set(events.filter(({ outcome }) => outcome === 'failure').map(({ reason }) => reason)),
    new Set(['wrong_factor', 'wrong_password']),
  )
  const mails = await server.mailsTo(ada.email)
  t.match(mails.at(-1)?.subject, /^You have new recovery codes/)
  const told = mails.map(({ text, html }) => text + html).join('') + server.logs.join('')
  for (const code of [...fresh, ...again.body.recovery_codes]) t.notOk(told.includes(code))
})

t.test('an account without a second factor gets no codes', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const renew = (password: string) => server.post('/auth/mfa/recovery-codes', { password }, { bearer })
  t.match((await renew(account.password)).body, { status: 404, code: 'not_found' })
  // An unconfirmed app is not a second factor.
  await server.post('/auth/mfa/totp', { password: account.password }, { bearer })
  t.match((await renew(account.password)).body, { status: 404, code: 'not_found' })
  t.match((await server.call('GET', '/auth/mfa', { bearer })).body, { totp: false, recovery_codes: 0 })
})

t.test('of 20 parallel renewals with one code one succeeds, which leaves one set', async (t) => {
  const ada = await withApp()
  const answers = await twenty(() => ada.renew({ recovery_code: ada.codes[0] }))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(await ada.left(), 10)
})

t.test('parallel renewals with different codes leave one set of ten', async (t) => {
  const ada = await withApp()
  const answers = await Promise.all(ada.codes.map((recovery_code) => ada.renew({ recovery_code })))
  const done = answers.filter(({ status }) => status === 200)
  t.ok(done.length > 0)
  t.equal(await ada.left(), 10)
  const works = await Promise.all(
    done.map(async ({ body }) => (await ada.renew({ recovery_code: body.recovery_codes[0] })).status === 200),
  )
  t.equal(works.filter(Boolean).length, 1, 'only the codes of the last renewal work')
})

t.test('codes are deleted with the account', async (t) => {
  const ada = await withApp()
  await server.db.user.delete({ where: { id: ada.id } })
  t.equal(await server.db.recoveryCode.count({ where: { userId: ada.id } }), 0)
  t.equal(await server.db.totpFactor.count({ where: { userId: ada.id } }), 0)
})
