import t from 'tap'
import { movableClock, startServer } from '../../support/server.ts'
import { fullWidth, inDigits } from '../../support/spellings.ts'
import { totpCode } from '../../support/totp.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

/** How people type a code of six digits. */
const TYPED: ((code: string) => string)[] = [
  (code) => fullWidth(code),
  (code) => inDigits([...'٠١٢٣٤٥٦٧٨٩'], code),
  (code) => inDigits([...'۰۱۲۳۴۵۶۷۸۹'], `${code.slice(0, 3)}\u00a0${code.slice(3)}`),
  (code) => inDigits([...'०१२३४५६७८९'], `\u200f${code}\u200f`),
  (code) => `${code.slice(0, 3)}\u2011${code.slice(3)}\n`,
  (code) => `\t${code.slice(0, 3)}\u2212${code.slice(3)}`,
  (code) => `\ufeff${[...code].join(' ')}`,
  (code) => [...code].join('\u200b'),
  (code) => `\u2066${code.slice(0, 2)}\u00ad${code.slice(2)}\u2069`,
]
const typed = (code: string, index: number) => (TYPED[index % TYPED.length] as (typeof TYPED)[0])(code)

async function withApp(confirmAs = 0) {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { password } = account
  const { secret } = (await server.post('/auth/mfa/totp', { password }, { bearer })).body
  const code = () => {
    clock.advance(30_000)
    return totpCode(secret, clock.now())
  }
  const confirmed = await server.post(
    '/auth/mfa/totp/confirm',
    { code: typed(code(), confirmAs) },
    { bearer },
  )
  return { account, password, bearer, code, confirmed, recovery: confirmed.body.recovery_codes as string[] }
}

t.test('a setup is confirmed by the digits of the code, however they are typed', async (t) => {
  for (const index of TYPED.keys()) {
    const { confirmed } = await withApp(index)
    t.equal(confirmed.status, 200, JSON.stringify(typed('123456', index)))
  }
})

t.test('a sign-in is completed by a code or a recovery code, however it is typed', async (t) => {
  const { account, code, recovery } = await withApp()
  const signIn = async (proof: object) => {
    const { mfa_token } = (await server.post('/auth/login', { ...account, transport: 'body' })).body
    return server.post('/auth/login/mfa', { mfa_token, ...proof })
  }
  for (const index of TYPED.keys()) {
    t.equal(
      (await signIn({ code: typed(code(), index) })).status,
      200,
      JSON.stringify(typed('123456', index)),
    )
  }
  const spellings: ((code: string) => string)[] = [
    (code) => fullWidth(code),
    (code) => fullWidth(code.toUpperCase().replaceAll('0', 'O').replaceAll('1', 'l')),
    (code) => code.replaceAll('-', '\u2015'),
    (code) => `\u2068${code.replaceAll('-', '\u3000')}\u2069\r\n`,
    (code) => inDigits([...'٠١٢٣٤٥٦٧٨٩'], code.replaceAll('-', 'ー')),
  ]
  for (const [index, spell] of spellings.entries()) {
    const answer = await signIn({ recovery_code: spell(`${recovery[index]}`) })
    t.equal(answer.status, 200, JSON.stringify(spell('0123-1cde')))
  }
  t.match(
    (await signIn({ recovery_code: `${recovery[0]}` })).body,
    { code: 'mfa_invalid' },
    'each works once',
  )
})

t.test('every call that asks for a factor reads it alike', async (t) => {
  const { password, bearer, code, recovery } = await withApp()
  const call = (method: string, path: string, body: object) =>
    server.call(method, path, { bearer, body: { password, ...body } })
  const newEmail = server.freshEmail()
  t.equal((await call('POST', '/auth/passkeys/options', { code: typed(code(), 0) })).status, 200)
  t.equal(
    (await call('POST', '/auth/change-email', { new_email: newEmail, code: typed(code(), 1) })).status,
    202,
  )
  t.equal(
    (await call('POST', '/auth/passkeys/options', { recovery_code: fullWidth(`${recovery[0]}`) })).status,
    200,
  )
  t.equal((await call('POST', '/auth/mfa/recovery-codes', { code: typed(code(), 2) })).status, 200)
  t.equal((await call('DELETE', '/auth/mfa/totp', { code: typed(code(), 3) })).status, 204)
  const other = await withApp()
  const body = { password: other.password, code: typed(other.code(), 7) }
  t.equal((await server.call('DELETE', '/me', { bearer: other.bearer, body })).status, 204)
})

t.test('a code that is too long is a 400; one with other characters is a wrong guess', async (t) => {
  const { account, password, bearer, code, recovery } = await withApp()
  const { mfa_token } = (await server.post('/auth/login', { ...account, transport: 'body' })).body
  for (const proof of [
    { code: `${code()}${' '.repeat(27)}` },
    { code: '\u{1d7ce}'.repeat(33) },
    { recovery_code: `${recovery[0]}${'\u200b'.repeat(46)}` },
    { recovery_code: '\ufeff'.repeat(16_000) },
  ]) {
    const signIn = await server.post('/auth/login/mfa', { mfa_token, ...proof })
    const renewed = await server.post('/auth/mfa/recovery-codes', { password, ...proof }, { bearer })
    for (const answer of [signIn, renewed])
      t.ok([400, 413].includes(answer.status), JSON.stringify(proof).slice(0, 40))
  }
  for (const odd of [`${code()}\0`, `${code()}.`, `\u0301${code()}`, ' ', '\u200b', '①②③④⑤⑥']) {
    const answer = await server.post('/auth/login/mfa', { mfa_token, code: odd })
    t.match(answer.body, { status: 401, code: 'mfa_invalid' }, JSON.stringify(odd))
  }
  const { code: reason } = (await server.post('/auth/mfa/totp/confirm', { code: '1'.repeat(33) }, { bearer }))
    .body
  t.equal(reason, 'validation_failed')
})
