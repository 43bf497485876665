import t from 'tap'
import { movableClock, startServer } from '../../support/server.ts'

// E9: no registration, verification, reset or change may verify an address for a stranger.
const clock = movableClock()
const server = await startServer(t, { clock })

const STRANGERS = 'the stranger knows this one'
const OWNERS = 'only the owner knows this one'

const register = (email: string, password: string) => server.post('/auth/register', { email, password })
const verify = (token: string) => server.post('/auth/verify-email', { token })
const confirm = (token: string) => server.post('/auth/confirm-email-change', { token })
const signIn = async (email: string, password: string) =>
  (await server.post('/auth/login', { email, password })).body.code ?? 'signed in'
const lastMail = async (email: string) => (await server.mailsTo(email)).at(-1)
const invalid = { status: 400, body: { code: 'token_invalid' } }

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
  await verify(await server.lastToken(account.email))
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

t.test('a stranger registers, the owner registers later: only the owner’s link works', async (t) => {
  const email = server.freshEmail()
  await register(email, STRANGERS)
  const strangers = await server.lastToken(email)
  await register(email, OWNERS)
  const owners = await server.lastToken(email)
  t.match(await verify(strangers), invalid)
  t.equal(await signIn(email, OWNERS), 'email_not_verified')
  t.equal((await verify(owners)).status, 200)
  t.match(await verify(strangers), invalid)
  await ownersOnly(t, email)
})

t.test(
  'the owner registers, a stranger registers again: the owner’s first link verifies nothing',
  async (t) => {
    const email = server.freshEmail()
    await register(email, OWNERS)
    const owners = await server.lastToken(email)
    t.notMatch((await lastMail(email))?.text, /more than once/)
    await register(email, STRANGERS)
    t.match(await verify(owners), invalid)
    t.equal(
      await signIn(email, STRANGERS),
      'email_not_verified',
      'the stranger gets nothing without the mailbox',
    )

    // The stranger caused the second mail: it says that there were two, and links to the safe way.
    const strangers = await lastMail(email)
    t.match(strangers?.text, /registered more than once[\s\S]*http:\/\/localhost:8080\/auth\/forgot-password/)
    t.equal((await reset(email)).status, 204)
    t.match(await verify(tokenIn(strangers)), invalid)
    await ownersOnly(t, email)
  },
)

t.test('a new verification mail says so too', async (t) => {
  const email = server.freshEmail()
  await register(email, OWNERS)
  await server.post('/auth/resend-verification', { email })
  t.notMatch((await lastMail(email))?.text, /more than once/)
  await register(email, STRANGERS)
  await server.post('/auth/resend-verification', { email })
  t.match((await lastMail(email))?.text, /more than once/)
})

t.test('a registration cannot replace a verified account', async (t) => {
  const email = server.freshEmail()
  await register(email, OWNERS)
  const token = await server.lastToken(email)
  await verify(token)
  await register(email, STRANGERS)
  t.match(await verify(token), invalid)
  t.match((await lastMail(email))?.subject, /already have an account/)
  await server.post('/auth/resend-verification', { email })
  t.match((await lastMail(email))?.subject, /already have an account/, 'there is nothing to resend')
  await ownersOnly(t, email)
})

t.test('an owner who took an address from a stranger with a reset keeps it', async (t) => {
  const email = server.freshEmail()
  await register(email, STRANGERS)
  const strangers = await server.lastToken(email)
  t.equal((await reset(email)).status, 204, 'the mail proves the mailbox, and the password is new')
  t.match(await verify(strangers), invalid)
  await register(email, STRANGERS)
  await ownersOnly(t, email)
})

t.test('an owner who presses the wrong button locks out the stranger with a reset', async (t) => {
  const email = server.freshEmail()
  await register(email, STRANGERS)
  await verify(await server.lastToken(email))
  const session = await server.login({ email, password: STRANGERS })
  t.equal((await reset(email)).status, 204)
  t.equal((await server.post('/auth/refresh', { refresh_token: session.refresh_token })).status, 401)
  t.equal((await server.call('GET', '/me', { bearer: session.access_token })).status, 401)
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
  const holder = await server.db.user.findUniqueOrThrow({ where: { email } })
  t.equal(holder.emailVerifiedAt, null)
  t.not(holder.id, id)
  t.ok(token)
})

t.test('a stranger asks for a change to an address; its owner registers and verifies', async (t) => {
  const email = server.freshEmail()
  const stranger = await strangerWants(email)
  t.match(stranger.mail?.text, new RegExp(`belongs to ${stranger.email}`), 'the mail names the account')
  await register(email, OWNERS)
  await verify(await server.lastToken(email))
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
  await verify(await server.lastToken(old))
  const session = await server.login(stranger)
  await server.post('/auth/request-password-reset', { email: old })
  const resetToken = await server.lastToken(old)
  const move = { password: STRANGERS, new_email: next }
  await server.post('/auth/change-email', move, { bearer: session.access_token })
  t.equal((await confirm(await server.lastToken(next))).status, 200)
  await register(old, OWNERS)
  t.match(await server.post('/auth/reset-password', { token: resetToken, password: STRANGERS }), invalid)
  await verify(await server.lastToken(old))
  await ownersOnly(t, old)
  t.equal(await signIn(next, STRANGERS), 'signed in')
})
