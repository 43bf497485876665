import t from 'tap'
import { LOCK_FAILURES } from '../../../src/core/lockout/counters.ts'
import type { Answer } from '../../support/caller.ts'
import { eventually } from '../../support/eventually.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const PATH = '/auth/verify-email'
const CHOSEN = 'chosen by the owner of the mailbox'
const form = { 'content-type': 'application/x-www-form-urlencoded' }

const verify = (body: Record<string, unknown>, headers = {}) => server.post(PATH, body, { headers })
const submit = (fields: Record<string, string>, headers = {}) =>
  server.call('POST', PATH, { body: `${new URLSearchParams(fields)}`, headers: { ...form, ...headers } })
const cookieOf = (answer: Answer) => `${answer.headers.getSetCookie()[0]?.split(';')[0]}`
const signIn = async (email: string, password: string) =>
  (await server.post('/auth/login', { email, password })).status

async function registered(email = server.freshEmail(), password = server.password) {
  const answer = await server.post('/auth/register', { email, password, name: 'Ada', transport: 'body' })
  return { email, token: await server.lastToken(email), proof: answer.body.registration_token as string }
}

t.test('opening the link does not use it up; its page works without scripts', async (t) => {
  const email = server.freshEmail()
  const cookie = cookieOf(await server.post('/auth/register', { email, password: server.password }))
  const token = await server.lastToken(email)
  for (const method of ['HEAD', 'GET', 'GET']) {
    t.equal((await server.call(method, `${PATH}?token=${token}&utm_source=mail`)).status, 200)
  }
  const page = await server.call('GET', `${PATH}?token=${token}`)
  t.match(page.headers.get('content-type'), /^text\/html/)
  t.match(page.headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(page.headers.get('cache-control'), 'no-store')
  t.notMatch(page.text, /<script/)
  const confirmed = await submit({ token }, { cookie })
  t.equal(confirmed.status, 200)
  t.match(confirmed.text, /confirmed/)
  t.match(confirmed.headers.getSetCookie()[0], /^ratchet-registration-dev=; Max-Age=0/)
  t.equal(await signIn(email, server.password), 200)
  const again = await submit({ token })
  t.equal(again.status, 200, 'a second press is told that it is done')
  t.match(again.text, /confirmed/)
  const hostile = await server.call(
    'GET',
    `${PATH}?token=${encodeURIComponent('"><script>alert(1)</script>')}`,
  )
  t.notMatch(hostile.text, /<script/)
})

t.test('the one who registered proves it by the token, its cookie or the password', async (t) => {
  const byToken = await registered()
  t.strictSame((await verify({ token: byToken.token, registration_token: byToken.proof })).body, {
    status: 'verified',
  })
  const byPassword = await registered()
  t.equal((await verify({ token: byPassword.token, password: server.password })).status, 200)
  const byCookie = await registered()
  const cookie = `ratchet-registration-dev=${byCookie.proof}`
  t.equal(
    (await verify({ token: byCookie.token }, { cookie, origin: 'https://elsewhere.example' })).status,
    403,
  )
  t.equal(
    (await verify({ token: byCookie.token }, { cookie, origin: 'https://app.example.com' })).status,
    200,
  )
  for (const { email } of [byToken, byPassword, byCookie]) {
    t.equal(await signIn(email, server.password), 200)
    t.match(await server.db.user.findUniqueOrThrow({ where: { email } }), { name: 'Ada' })
  }
})

t.test('of several registration cookies, that of this registration counts', async (t) => {
  const [mine, other] = [await registered(), await registered()]
  const headers = {
    cookie: ['x', other.proof, mine.proof, ''].map((value) => `ratchet-registration-dev=${value}`).join('; '),
    origin: 'https://app.example.com',
  }
  const login = { email: mine.email, password: server.password }
  const pending = await server.post('/auth/login', login, { headers })
  t.match(pending, { status: 403, body: { code: 'email_not_verified' } })
  t.equal((await verify({ token: mine.token }, headers)).status, 200)
  t.equal(await signIn(mine.email, server.password), 200)
})

t.test('without a proof nothing is used up, and the page asks for one', async (t) => {
  const mine = await registered()
  const strangers = await registered(mine.email, 'the stranger knows this one')
  const refused = { status: 403, body: { code: 'registration_proof_required' } }
  for (const proof of [
    {},
    { registration_token: strangers.proof },
    { registration_token: 'x' },
    { password: 'the stranger knows this one' },
    { password: '' },
    { password: 'x'.repeat(4096) },
    { password: 'not it', registration_token: mine.proof },
  ])
    t.match(await verify({ token: mine.token, ...proof }), refused, JSON.stringify(proof).slice(0, 60))
  const page = await submit({ token: mine.token })
  t.equal(page.status, 403)
  t.match(page.text, /autocomplete="current-password"[\s\S]*autocomplete="new-password"/)
  t.match(
    (await submit({ token: mine.token, password: 'not it' })).text,
    /not the password of the registration/,
  )
  t.equal(await server.db.user.count({ where: { email: mine.email } }), 0)
  t.equal((await submit({ token: mine.token, password: server.password })).status, 200)
})

t.test('the owner of the mailbox can choose another password, and the account is theirs', async (t) => {
  const { email, token, proof } = await registered(undefined, 'the stranger knows this one')
  t.match(await verify({ token, new_password: 'short' }), {
    status: 400,
    body: { code: 'password_too_weak' },
  })
  const page = await submit({ token, new_password: 'short' })
  t.equal(page.status, 400)
  t.match(page.text, /name="new_password"/, 'the page keeps the link')
  t.equal((await submit({ token, new_password: CHOSEN })).status, 200)
  t.equal(await signIn(email, CHOSEN), 200)
  t.equal(await signIn(email, 'the stranger knows this one'), 401)
  t.match(await server.db.user.findUniqueOrThrow({ where: { email } }), { name: null })
  const late = await server.post('/auth/login', {
    email,
    password: 'the stranger knows this one',
    registration_token: proof,
  })
  t.match(late.body, { code: 'invalid_credentials' }, 'the registration has ended')
})

t.test(
  'a client that lost the answer gets it again, and no password is claimed that was not set',
  async (t) => {
    const { token } = await registered()
    t.equal((await verify({ token, new_password: CHOSEN })).status, 200)
    t.equal((await verify({ token, new_password: CHOSEN })).status, 200)
    t.equal((await verify({ token })).status, 200)
    t.match((await verify({ token, new_password: 'another of the same link' })).body, {
      code: 'token_invalid',
    })
    clock.advance(24 * 3_600_000 + 1)
    t.match((await verify({ token })).body, { code: 'token_invalid' })
  },
)

t.test('a link whose account was deleted says that it is spent', async (t) => {
  const { email, token } = await registered()
  await verify({ token, password: server.password })
  const { access_token: bearer } = await server.login({ email, password: server.password })
  await server.call('DELETE', '/me', { bearer, body: { password: server.password } })
  t.match((await verify({ token })).body, { code: 'token_invalid' })
})

t.test('of 20 parallel uses one makes the account, and all are told so', async (t) => {
  const { email, token, proof } = await registered()
  const answers = await twenty(() => verify({ token, registration_token: proof }))
  t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
  const where = { type: 'verify_email', outcome: 'success' }
  const { id: userId } = await server.db.user.findUniqueOrThrow({ where: { email } })
  t.equal(await server.db.auditEvent.count({ where: { ...where, userId } }), 1)
})

t.test('of 20 parallel new passwords one is set, and only its client is told so', async (t) => {
  const { email, token } = await registered()
  const answers = await twenty((index) => verify({ token, new_password: `${CHOSEN} ${index}` }))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  const winner = answers.findIndex(({ status }) => status === 200)
  // Not by signing in: the others count as guesses, and have locked the account for this address.
  const { passwordHash } = await server.db.user.findUniqueOrThrow({ where: { email } })
  t.ok(await server.app.services.passwords.verify(passwordHash, `${CHOSEN} ${winner}`, 'test'))
})

t.test('passwords that are tried with a used link count as guesses at the account', async (t) => {
  const { email, token } = await registered()
  t.equal((await verify({ token, new_password: CHOSEN })).status, 200)
  for (let count = 0; count < LOCK_FAILURES; count += 1) {
    t.equal((await verify({ token, new_password: `${CHOSEN} ${count}` })).status, 400)
  }
  t.match((await verify({ token, new_password: CHOSEN })).body, {
    code: 'too_many_attempts',
    reason: 'locked',
  })
  t.equal(await signIn(email, CHOSEN), 429)
  t.match((await server.mailsTo(email)).at(-1)?.text, /unlock/, 'the owner is told')
  t.equal((await verify({ token })).status, 200, 'what guesses nothing is answered as before')
})

t.test('of 20 registrations of one address, used at the same time, one becomes the account', async (t) => {
  const email = server.freshEmail()
  const links: string[] = []
  for (let count = 0; count < 4; count += 1) {
    await server.post('/auth/register', { email, password: `${server.password} ${count}` })
  }
  clock.advance(16 * 60_000)
  // Three mails leave at once; the fourth link follows later, together with the others.
  await eventually(async () => (await server.mailsTo(email)).length === 4)
  for (const mail of await server.mailsTo(email))
    links.push(...[...mail.text.matchAll(/token=([\w-]+)/g)].map(([, token]) => `${token}`))
  const answers = await Promise.all(
    [...new Set(links)].flatMap((token) =>
      Array.from({ length: 5 }, (_, count) => verify({ token, password: `${server.password} ${count}` })),
    ),
  )
  t.equal(answers.length, 20)
  t.ok(answers.some(({ status }) => status === 200))
  for (const { status, body } of answers)
    t.ok(status === 200 || ['token_invalid', 'registration_proof_required'].includes(body.code), body?.code)
  t.equal(await server.db.user.count({ where: { email } }), 1)
  t.equal(await server.db.registration.count({ where: { email } }), 1, 'the others are gone')
})

t.test('a wrong and an expired link get the same answer', async (t) => {
  const { email, token, proof } = await registered()
  t.match((await verify({ token: 'wrong' })).body, { code: 'token_invalid' })
  clock.advance(24 * 3_600_000 + 1)
  t.match((await verify({ token, registration_token: proof })).body, { code: 'token_invalid' })
  const mails = (await server.mailsTo(email)).length
  t.equal((await server.post('/auth/resend-verification', { email })).status, 202)
  t.equal((await server.mailsTo(email)).length, mails, 'nothing waits any more')
  const later = await registered(email)
  t.equal((await verify({ token: later.token, registration_token: later.proof })).status, 200)
})

t.test('the same link is mailed again, with the same answer for any address', async (t) => {
  const account = await server.createAccount()
  const { email, token } = await registered()
  const before = (await server.mailsTo(account.email)).length
  for (const address of [account.email, email, 'nobody@example.com', server.freshEmail()]) {
    const answer = await server.post('/auth/resend-verification', { email: address })
    t.equal(answer.status, 202)
    t.strictSame(answer.body, { status: 'verification_sent' })
  }
  t.equal((await server.mailsTo(email)).length, 2)
  t.equal(await server.lastToken(email), token)
  t.equal((await server.mailsTo(account.email)).length, before)
})

t.test(
  'a link that belongs to nothing says so when it is opened, and a good one changes nothing',
  async (t) => {
    const email = server.freshEmail()
    await server.post('/auth/register', { email, password: server.password })
    const token = await server.lastToken(email)
    for (const [link, status] of [
      ['x', 400],
      [`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`, 400],
      [token, 200],
      [token, 200],
    ] as const) {
      for (const path of [
        `/auth/verify-email?token=${link}`,
        `/auth/verify-email?utm_source=x&token=${link}`,
      ]) {
        t.equal((await server.call('GET', path)).status, status)
      }
    }
    t.equal(await server.db.user.count({ where: { email } }), 0)
    t.equal((await server.post('/auth/verify-email', { token, password: server.password })).status, 200)
  },
)
