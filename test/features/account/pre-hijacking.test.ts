import t from 'tap'
import { eventually } from '../../support/eventually.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

// E9: no registration, verification, reset or change may verify an address for a stranger.
const clock = movableClock()
const server = await startServer(t, { clock })

const STRANGERS = 'the stranger knows this one'
const OWNERS = 'only the owner knows this one'

const register = async (email: string, password: string): Promise<string> =>
  (await server.post('/auth/register', { email, password, transport: 'body' })).body.registration_token
const verify = (token: string, proof: object = {}) => server.post('/auth/verify-email', { token, ...proof })
const confirm = (token: string) => server.post('/auth/confirm-email-change', { token })
const signIn = async (email: string, password: string) =>
  (await server.post('/auth/login', { email, password })).body.code ?? 'signed in'
const lastMail = async (email: string) => (await server.mailsTo(email)).at(-1)
const invalid = { status: 400, body: { code: 'token_invalid' } }
const unproven = { status: 403, body: { code: 'registration_proof_required' } }

/** How every scenario must end: the owner signs in with their password, the stranger cannot. */
async function ownersOnly(
  t: { equal(found: unknown, wanted: unknown): unknown },
  email: string,
  password = OWNERS,
) {
  t.equal(await signIn(email, password), 'signed in')
  t.equal(await signIn(email, STRANGERS), 'invalid_credentials')
}

/** A stranger with their own account, who asks to change it to somebody else's address. */
async function strangerWants(email: string) {
  const account = { email: server.freshEmail(), password: STRANGERS }
  await register(account.email, account.password)
  await verify(await server.lastToken(account.email), { password: STRANGERS })
  const session = await server.login(account)
  const ask = () =>
    server.post(
      '/auth/change-email',
      { password: STRANGERS, new_email: email },
      { bearer: session.access_token },
    )
  t.equal((await ask()).status, 202)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  return { ...account, id, session, ask, mail: await lastMail(email), token: tokenIn(await lastMail(email)) }
}
const tokenIn = (mail: { text: string } | undefined) => /token=([\w-]+)/.exec(mail?.text ?? '')?.[1] ?? ''

async function reset(email: string, password = OWNERS) {
  await server.post('/auth/request-password-reset', { email })
  return server.post('/auth/reset-password', { token: await server.lastToken(email), password })
}

/** What a stranger who cannot read the mail can send with a link: their own token and password. */
const strangersProofs = (token: string) => [{ registration_token: token }, { password: STRANGERS }, {}]

t.test(
  'a stranger registers before and after the owner: only the owner’s link makes the owner’s account',
  async (t) => {
    const email = server.freshEmail()
    const before = await register(email, STRANGERS)
    const first = await server.lastToken(email)
    const own = await register(email, OWNERS)
    const owners = await server.lastToken(email)
    const after = await register(email, STRANGERS)
    const last = await server.lastToken(email)
    for (const proof of [...strangersProofs(before), ...strangersProofs(after)])
      t.match(await verify(owners, proof), unproven)
    for (const strangers of [first, last]) {
      t.match(await verify(strangers, { registration_token: own }), unproven)
      t.match(await verify(strangers, { password: OWNERS }), unproven)
    }
    t.equal((await verify(owners, { registration_token: own })).status, 200)
    for (const strangers of [first, last]) t.match(await verify(strangers, { password: STRANGERS }), invalid)
    await ownersOnly(t, email)
  },
)

t.test('any number of strangers neither voids the owner’s link nor keeps its mail back', async (t) => {
  const crowded = await startServer(t, { clock, env: { TRUST_PROXY: '1' } })
  const email = crowded.freshEmail()
  const from = (ip: string, password: string) =>
    crowded.post(
      '/auth/register',
      { email, password, transport: 'body' },
      { headers: { 'x-forwarded-for': ip } },
    )
  const linksIn = async () =>
    (await crowded.mailsTo(email)).flatMap(({ text }) =>
      [...text.matchAll(/token=([\w-]+)/g)].map(([, link]) => link),
    )
  for (let count = 0; count < 15; count += 1) await from(`192.0.2.${count}`, STRANGERS)
  for (let count = 0; count < 15; count += 1) await from('198.51.100.1', STRANGERS)
  const { body } = await from('203.0.113.7', OWNERS)
  t.equal((await crowded.mailsTo(email)).length, 5)
  clock.advance(15 * 60_000)
  await eventually(async () => (await crowded.mailsTo(email)).length === 6)
  const { registration_token } = body
  const answers = []
  for (const token of await linksIn())
    answers.push((await crowded.post('/auth/verify-email', { token, registration_token })).status)
  t.equal(answers.filter((status) => status === 200).length, 1, 'the merged mail has the owner’s link')
  t.equal((await crowded.post('/auth/login', { email, password: OWNERS })).status, 200)
})

t.test('register and sign in together tell nobody who has an account', async (t) => {
  const known = (await server.createAccount()).email
  const shape = async (email: string) => {
    const registration_token = await register(email, STRANGERS)
    const login = (proof: object, password = STRANGERS) =>
      server.post('/auth/login', { email, password, ...proof })
    const answers = [
      await login({}),
      await login({ registration_token }),
      await login({ registration_token }, 'another password'),
      await login({ registration_token: 'x' }),
    ]
    return answers.map(({ status, body }) => [status, body.code, body.detail])
  }
  t.strictSame(await shape(known), await shape(server.freshEmail()))
})

t.test('a registration cannot replace a verified account', async (t) => {
  const email = server.freshEmail()
  const own = await register(email, OWNERS)
  const token = await server.lastToken(email)
  await verify(token, { registration_token: own })
  await register(email, STRANGERS)
  t.equal((await verify(token, { registration_token: own })).status, 200, 'the link says what it has done')
  t.match((await lastMail(email))?.subject, /already have an account/)
  t.notMatch((await lastMail(email))?.text, /token=/)
  await server.post('/auth/resend-verification', { email })
  t.match((await lastMail(email))?.subject, /already have an account/)
  await ownersOnly(t, email)
})

t.test(
  'a reset of an address that was only registered makes the account, for the mailbox’s owner',
  async (t) => {
    const email = server.freshEmail()
    const token = await register(email, STRANGERS)
    const strangers = await server.lastToken(email)
    const { body } = await server.post('/auth/request-password-reset', { email: server.freshEmail() })
    t.strictSame((await server.post('/auth/request-password-reset', { email })).body, body)
    t.match((await lastMail(email))?.text, /makes the account yours/)
    const resetToken = await server.lastToken(email)
    for (const proof of strangersProofs(token)) t.match(await verify(resetToken, proof), unproven)
    t.match(await server.post('/auth/reset-password', { token: resetToken, password: 'short' }), {
      status: 400,
      body: { code: 'password_too_weak' },
    })
    const answers = await twenty(() =>
      server.post('/auth/reset-password', { token: resetToken, password: OWNERS }),
    )
    t.equal(answers.filter(({ status }) => status === 204).length, 1)
    t.match(await verify(strangers, { password: STRANGERS }), invalid)
    await register(email, STRANGERS)
    await ownersOnly(t, email)
  },
)

t.test('such a reset link lasts an hour, and does nothing once the address has an account', async (t) => {
  const email = server.freshEmail()
  const own = await register(email, OWNERS)
  const link = await server.lastToken(email)
  await server.post('/auth/request-password-reset', { email })
  const early = await server.lastToken(email)
  clock.advance(3_600_001)
  t.match(await server.post('/auth/reset-password', { token: early, password: STRANGERS }), invalid)
  await server.post('/auth/request-password-reset', { email })
  const late = await server.lastToken(email)
  t.equal((await verify(link, { registration_token: own })).status, 200)
  t.match(await server.post('/auth/reset-password', { token: late, password: STRANGERS }), invalid)
  await ownersOnly(t, email)
})

t.test('a scanner that opens every link verifies nothing', async (t) => {
  const email = server.freshEmail()
  await register(email, STRANGERS)
  const { id, token } = await strangerWants(email)
  for (const mail of await server.mailsTo(email)) {
    for (const [, path] of mail.text.matchAll(/http:\/\/localhost:8080(\/\S+)/g))
      for (const method of ['HEAD', 'GET']) await server.call(method, `${path}`)
  }
  t.equal(await server.db.user.count({ where: { email } }), 0)
  t.not((await server.db.user.findUniqueOrThrow({ where: { id } })).email, email)
  t.ok(token)
})

t.test('a stranger asks for a change to an address; its owner registers and verifies', async (t) => {
  const email = server.freshEmail()
  const stranger = await strangerWants(email)
  t.match(stranger.mail?.text, new RegExp(`belongs to ${stranger.email}`), 'the mail names the account')
  await register(email, OWNERS)
  await verify(await server.lastToken(email), { password: OWNERS })
  t.match(await confirm(stranger.token), invalid)
  await stranger.ask()
  t.equal(tokenIn(await lastMail(email)), '', 'there is no other link')
  await ownersOnly(t, email)
  t.equal(await signIn(stranger.email, STRANGERS), 'signed in', 'the stranger’s account is unchanged')
})

t.test('… the owner has registered, and takes the address with a reset', async (t) => {
  const email = server.freshEmail()
  await register(email, OWNERS)
  const stranger = await strangerWants(email)
  t.equal((await reset(email, 'another one of the owner')).status, 204)
  t.match(await confirm(stranger.token), invalid)
  await ownersOnly(t, email, 'another one of the owner')
})

t.test(
  '… the owner, without an account, asks for a reset: the stranger’s account is not reset',
  async (t) => {
    const email = server.freshEmail()
    const stranger = await strangerWants(email)
    const before = (await server.mailsTo(email)).length
    await server.post('/auth/request-password-reset', { email })
    t.equal((await server.mailsTo(email)).length, before)
    t.match(await verify(stranger.token), invalid, 'the link does not work for verification either')
    t.match(await server.post('/auth/reset-password', { token: stranger.token, password: OWNERS }), invalid)
  },
)

t.test('… the owner presses the button after all: a reset gives the account to the owner', async (t) => {
  const email = server.freshEmail()
  const stranger = await strangerWants(email)
  t.equal((await confirm(stranger.token)).status, 200)
  t.equal((await reset(email)).status, 204)
  const { refresh_token } = stranger.session
  t.equal((await server.post('/auth/refresh', { refresh_token })).status, 401)
  t.equal(await signIn(stranger.email, STRANGERS), 'invalid_credentials', 'the stranger has no account now')
  await ownersOnly(t, email)
})

t.test('a released address belongs to the person who reads its mail, without the old data', async (t) => {
  const [old, next] = [server.freshEmail(), server.freshEmail()]
  const stranger = { email: old, password: STRANGERS }
  await register(old, STRANGERS)
  await verify(await server.lastToken(old), { password: STRANGERS })
  const session = await server.login(stranger)
  await server.post('/auth/request-password-reset', { email: old })
  const resetToken = await server.lastToken(old)
  const move = { password: STRANGERS, new_email: next }
  await server.post('/auth/change-email', move, { bearer: session.access_token })
  t.equal((await confirm(await server.lastToken(next))).status, 200)
  await register(old, OWNERS)
  t.match(await server.post('/auth/reset-password', { token: resetToken, password: STRANGERS }), invalid)
  await verify(await server.lastToken(old), { password: OWNERS })
  await ownersOnly(t, old)
  t.equal(await signIn(next, STRANGERS), 'signed in')
})
