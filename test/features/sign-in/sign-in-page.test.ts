import t, { type Test } from 'tap'
import { LOCK_FAILURES } from '../../../src/core/lockout/counters.ts'
import { INTERACTION_TTL } from '../../../src/core/one-time/one-time.ts'
import { createPerson } from '../../support/administrator.ts'
import type { Answer } from '../../support/caller.ts'
import { addTotp } from '../../support/factors.ts'
import {
  cookiesIn,
  issueInteraction,
  OWN,
  openPage,
  submitForm,
  submitPatiently,
} from '../../support/interaction.ts'
import { movableClock, startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const SIGN_IN = '/auth/sign-in'
const SECOND_STEP = '/auth/sign-in/second-step'
const PASSKEY = '/auth/sign-in/passkey'
const clock = movableClock()
const server = await startServer(t, { clock })
const open = (path: string, headers?: Record<string, string>) => openPage(server, path, headers)
const submit = (path: string, fields: Record<string, string>, headers?: Record<string, string>) =>
  submitPatiently(server, path, fields, headers)
const titleOf = ({ text }: Answer) => /<h1>(.*?)<\/h1>/.exec(text)?.[1]?.replace(/<.*?>/g, '')
const alertOf = ({ text }: Answer) => /<p class="alert" role="alert" id="fault">(.*?)<\/p>/.exec(text)?.[1]
const hidden = ({ text }: Answer, name: string) =>
  new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? ''
const issue = (...args: Parameters<typeof issueInteraction> extends [unknown, ...infer R] ? R : never) =>
  issueInteraction(server, ...args)

/** The session that an answer gives to the browser; null without one. */
async function sessionOf(answer: Answer) {
  const cookie = cookiesIn(answer)
  const headers = { cookie, origin: OWN, 'content-type': 'application/json' }
  return (await server.call('GET', '/auth/session', { headers })).body
}

t.test('the page asks for the account, and changes nothing', async (t) => {
  const ticket = issue({ clientName: 'Tea & <Cake>', loginHint: 'ada"@example.com' })
  for (const method of ['GET', 'HEAD']) {
    const path = `${SIGN_IN}?ticket=${ticket}&utm_source=x`
    const page = await server.call(method, path, { headers: { accept: 'text/html' } })
    t.equal(page.status, 200)
    t.strictSame(page.headers.getSetCookie(), [])
    t.equal(page.headers.get('cache-control'), 'no-store')
    t.match(page.headers.get('content-security-policy'), /frame-ancestors 'none'/)
    t.match(page.headers.get('x-frame-options'), 'DENY')
  }
  const page = await open(`${SIGN_IN}?ticket=${ticket}`)
  t.equal(titleOf(page), 'Sign in to continue to Tea &#38; &#60;Cake&#62;')
  t.match(page.text, 'value="ada&#34;@example.com" autocomplete="username webauthn"')
  t.match(page.text, 'autocomplete="current-password"')
  t.match(page.text, `href="/auth/forgot-password?ticket=${ticket}"`)
  t.match(page.text, `href="/auth/sign-up?ticket=${ticket}"`)
  const german = await open(`${SIGN_IN}?ticket=${ticket}&locale=de`)
  t.match(german.text, 'action="/auth/sign-in?locale=de"')
})

t.test('the right password begins a session, and leads on to the request', async (t) => {
  const account = await server.createAccount()
  const ticket = issue({ path: '/oauth/authorize/continue' })
  const answer = await submit(`${SIGN_IN}?locale=de`, { ...account, ticket })
  t.equal(answer.status, 303)
  t.match(answer.headers.get('location'), /^\/oauth\/authorize\/continue\?ticket=[\w-]+&locale=de$/)
  t.match(await sessionOf(answer), { user: { email: account.email } })
  t.match(cookiesIn(answer), 'ratchet-device-dev=dt1_')

  await server.login(account)
  const elsewhere = { 'user-agent': 'Another/1.0' }
  t.equal((await submit(SIGN_IN, { ...account, ticket: issue() }, elsewhere)).status, 303)
  const subjects = (await server.mailsTo(account.email)).map(({ subject }) => subject)
  t.ok(
    subjects.some((subject) => /new (?:device|sign-in)/i.test(subject)),
    subjects.join(', '),
  )

  const other = await server.createAccount()
  const again = await submit(SIGN_IN, { ...other, ticket: issue() }, { cookie: cookiesIn(answer) })
  t.equal(again.status, 303)
  t.equal(await sessionOf(answer), null, 'the session that the browser had is over')
  t.match(await sessionOf(again), { user: { email: other.email } })
})

t.test('a wrong password shows the form again, with the fault and the address', async (t) => {
  const account = await server.createAccount()
  const ticket = issue()
  const page = await submit(SIGN_IN, { ...account, password: 'not the password', ticket })
  t.equal(page.status, 401)
  t.match(alertOf(page), /address or the password is wrong/)
  t.match(page.text, `value="${account.email}"`)
  t.equal(hidden(page, 'ticket'), ticket)
  t.notMatch(page.text, 'not the password')
  t.strictSame(page.headers.getSetCookie(), [])
  const unknown = await submit(SIGN_IN, { email: server.freshEmail(), password: 'not the password', ticket })
  t.equal(unknown.status, 401)
  t.equal(alertOf(unknown), alertOf(page))
  for (const fields of [
    { email: 'no address', password: 'x' },
    { ...account, password: 'x'.repeat(5000) },
    { email: account.email },
  ] as Record<string, string>[]) {
    const invalid = await submit(SIGN_IN, { ...fields, ticket })
    t.equal(invalid.status, 400)
    t.match(alertOf(invalid), /wrong/)
  }
  t.equal((await submit(SIGN_IN, { ...account, ticket })).status, 303, 'the same page works')
})

t.test('only a page of this server may send the forms', async (t) => {
  const account = await server.createAccount()
  const ticket = issue()
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: 'null', 'sec-fetch-site': 'cross-site' },
    { origin: 'https://app.example.com', 'sec-fetch-site': 'cross-site' },
    { origin: 'https://app.example.com', 'sec-fetch-site': 'same-site' },
    { origin: OWN, 'sec-fetch-site': 'cross-site' },
    { origin: '', 'sec-fetch-site': 'same-origin' },
  ]
  for (const headers of foreign) {
    for (const [path, fields] of [
      [SIGN_IN, { ...account, ticket }],
      [SECOND_STEP, { ticket, mfa_token: 'x', code: '123456' }],
      [PASSKEY, { ticket, passkey: '{}' }],
      ['/auth/sign-up', { ticket, email: account.email, password: server.password }],
    ] as [string, Record<string, string>][]) {
      const page = await submit(path, fields, headers)
      t.equal(page.status, 403, `${path} ${JSON.stringify(headers)}`)
      t.equal(titleOf(page), 'This form was not sent from here')
      t.match(page.text, `?ticket=${ticket}`)
      t.strictSame(page.headers.getSetCookie(), [])
    }
  }
  const otherName = { origin: 'https://app.example.com', 'sec-fetch-site': 'same-origin' }
  const own = await submit(SIGN_IN, { ...account, ticket }, otherName)
  t.equal(own.status, 303, 'a page of this server under another name of it')
  const json = await server.post(SIGN_IN, { ...account, ticket })
  t.match(json.body, { status: 403, code: 'origin_not_allowed' }, 'nor may an app')
})

t.test('a ticket that is old, cut off or made for something else begins nothing', async (t) => {
  const account = await server.createAccount()
  const { tickets } = server.app.services
  const mfa = tickets.issue('mfa', { userId: 'x', passwordVersion: 0, transport: 'cookie' }, 300)
  const old = issue()
  clock.advance(INTERACTION_TTL * 1000 + 1)
  for (const ticket of [old, issue().slice(1), mfa, 'x', 'a b', '']) {
    for (const path of [SIGN_IN, '/auth/sign-up']) {
      const page = await open(`${path}?ticket=${encodeURIComponent(ticket)}`)
      t.equal(page.status, 400)
      t.equal(titleOf(page), 'Start again from the app')
    }
    const sent = await submit(SIGN_IN, { ...account, ticket })
    t.equal(titleOf(sent), 'Start again from the app')
    t.strictSame(sent.headers.getSetCookie(), [])
  }
  t.equal((await open(SIGN_IN)).status, 400)
  t.equal((await open(`${SIGN_IN}?ticket=a&ticket=b`)).status, 400)
})

t.test('a second factor is asked for on a second page', async (t) => {
  const person = await createPerson(server)
  const { secret, recoveryCodes } = await addTotp(server, person, clock.now())
  clock.advance(60_000)
  const code = () => totpCode(secret, clock.now())
  const { account } = person
  const ticket = issue({ path: '/oauth/authorize/continue' })
  const first = async () => {
    const page = await submit(SIGN_IN, { ...account, ticket })
    t.equal(page.status, 200)
    t.equal(titleOf(page), 'Confirm that it is you')
    t.strictSame(page.headers.getSetCookie(), [])
    return { page, mfa_token: hidden(page, 'mfa_token') }
  }

  const { page, mfa_token } = await first()
  t.match(page.text, 'autocomplete="one-time-code"')
  t.notMatch(page.text, '<script', 'there is no passkey')
  const wrong = await submit(SECOND_STEP, { ticket, mfa_token, code: String((Number(code()) + 1) % 1e6) })
  t.equal(wrong.status, 401)
  t.match(alertOf(wrong), /code is wrong/)
  t.equal(hidden(wrong, 'mfa_token'), mfa_token)
  for (const fields of [{}, { code: '' }, { passkey: '' }, { passkey: '{' }, { passkey: '{"a":1}' }]) {
    const refused = await submit(SECOND_STEP, { ticket, mfa_token, ...fields } as Record<string, string>)
    t.ok(refused.status === 400 || refused.status === 401, JSON.stringify(fields))
    t.equal(titleOf(refused), 'Confirm that it is you')
  }
  const done = await submit(SECOND_STEP, { ticket, mfa_token, code: code() })
  t.equal(done.status, 303)
  t.match(done.headers.get('location'), /^\/oauth\/authorize\/continue\?ticket=[\w-]+$/)
  t.match(await sessionOf(done), { user: { email: account.email, mfa_enabled: true } })

  for (const [name, value] of [
    ['recovery_code', recoveryCodes[0]],
    ['code', recoveryCodes[1]?.toUpperCase()],
  ] as [string, string][]) {
    const { mfa_token } = await first()
    const done = await submit(SECOND_STEP, { ticket, mfa_token, [name]: value })
    t.equal(done.status, 303, name)
  }
  const again = await first()
  const used = { ticket, mfa_token: again.mfa_token, recovery_code: recoveryCodes[0] as string }
  const refused = await submit(SECOND_STEP, used)
  t.equal(refused.status, 401)
  t.match(refused.text, '<details open>')
  clock.advance(301_000)
  const late = await submit(SECOND_STEP, { ticket, mfa_token: again.mfa_token, code: code() })
  t.equal(late.status, 401)
  t.match(alertOf(late), /took too long/)
  t.equal(titleOf(late), 'Sign in to continue to Photo Printer')
})

t.test('a lock says so, with the time, and keeps the form', async (t) => {
  const account = await server.createAccount()
  const ticket = issue()
  for (let count = 0; count < LOCK_FAILURES; count += 1)
    await submit(SIGN_IN, { ...account, password: 'not the password', ticket })
  const page = await submit(SIGN_IN, { ...account, ticket })
  t.equal(page.status, 429)
  t.match(alertOf(page), /link that unlocks it.*Try again in \d+ minutes/)
  t.match(page.text, `value="${account.email}"`)
})

t.test('a limit says when to try again, and keeps the form', async (t) => {
  const env = { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'login=1/60,login_passkey=1/60' }
  const limited = await startServer(t, { env })
  const ticket = issueInteraction(limited)
  const fields = { email: limited.freshEmail(), password: 'not the password', ticket }
  t.equal((await submitForm(limited, SIGN_IN, fields)).status, 401)
  const page = await submitForm(limited, SIGN_IN, fields)
  t.equal(page.status, 429)
  t.match(alertOf(page), /from your network. Try again in \d+ seconds/)
  const passkey = { ticket, passkey: '{"no":"answer"}' }
  t.equal((await submitForm(limited, PASSKEY, passkey)).status, 400)
  const refused = await submitForm(limited, PASSKEY, passkey)
  t.match(alertOf(refused), /from your network/)
})

t.test('a required reset leads to a new password, and then back', async (t) => {
  const account = await server.createAccount()
  await server.db.user.update({ where: { email: account.email }, data: { resetRequiredAt: new Date() } })
  const ticket = issue()
  const page = await submit(SIGN_IN, { ...account, ticket })
  t.equal(page.status, 403)
  t.equal(titleOf(page), 'Choose a new password first')
  t.match(page.text, `href="/auth/forgot-password?ticket=${ticket}"`)
  const asked = await submit('/auth/forgot-password', { email: account.email, ticket })
  t.equal(asked.status, 200)
  const cookie = cookiesIn(asked)
  t.match(cookie, /^ratchet-continue-dev=/)
  const reset = await submit(
    '/auth/reset-password',
    { token: await server.lastToken(account.email), password: 'another quite long passphrase' },
    { cookie },
  )
  t.equal(reset.status, 200)
  await leadsBack(t, reset, account.email)
})

t.test('an address that is not verified gets another mail, and then leads back', async (t) => {
  const email = server.freshEmail()
  const registered = await server.call('POST', '/auth/register', {
    body: { email, password: server.password },
    headers: { origin: OWN },
  })
  const ticket = issue()
  const fields = { email, password: server.password, ticket }
  const page = await submit(SIGN_IN, fields, { cookie: cookiesIn(registered) })
  t.equal(page.status, 403)
  t.equal(titleOf(page), 'Confirm your e-mail address first')
  const token = await server.lastToken(email)
  const cookie = `${cookiesIn(registered)}; ${cookiesIn(page)}`
  await leadsBack(t, await submit('/auth/verify-email', { token }, { cookie }), email)
})

/** The page after the mailbox has a button that leads to a sign-in with this address. */
async function leadsBack(t: Test, page: Answer, email: string) {
  t.match(page.text, '>Continue to Photo Printer</a>')
  const [, path = ''] = /class="button" href="([^"]+)"/.exec(page.text) ?? []
  t.match(path, /^\/auth\/sign-in\?ticket=/)
  t.match((await open(path)).text, `value="${email}"`)
}

t.test('while the database is away, a page says so', async (t) => {
  const broken = await startServer(t, { proxies: true })
  const ticket = issueInteraction(broken)
  broken.proxies.postgres.hang()
  const page = await submitForm(broken, SIGN_IN, { email: 'ada@example.com', password: 'x', ticket })
  t.equal(page.status, 503)
  t.match(titleOf(page), /cannot answer right now/)
  t.match(page.text, `href="/auth/sign-in?ticket=${ticket}"`)
  await broken.proxies.postgres.heal()
})
