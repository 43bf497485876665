import t from 'tap'
import {
  type Authenticator,
  createAuthenticator,
  type Forgery,
  SYNCED,
  U2F,
} from '../../support/authenticator.ts'
import { countEvents } from '../../support/events.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)

async function setUp(alg: 'ES256' | 'EdDSA' | 'RS256' = 'ES256', kind: Forgery = {}) {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const authenticator = createAuthenticator(alg, kind)
  const { passkey } = await addPasskey(server, account.password, bearer, authenticator)
  const userId: string = claimsOf(bearer).sub
  return { ...account, bearer, authenticator, userId, passkeyId: passkey.id }
}
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString())
const OPTIONS = '/auth/login/passkey/options'

/** Signs in with a passkey alone. */
async function signInAlone(authenticator: Authenticator, forgery: Forgery = {}) {
  const answer = await answerPasskey(server, OPTIONS, authenticator, {}, forgery)
  return server.post('/auth/login/passkey', { ...answer, transport: 'body' })
}

/** Signs in with the password, and a passkey as the second factor. */
async function signInSecond(
  { email, password, authenticator }: { email: string; password: string; authenticator: Authenticator },
  forgery: Forgery = {},
) {
  const { mfa_token } = (await server.post('/auth/login', { email, password, transport: 'body' })).body
  const passkey = await answerPasskey(server, OPTIONS, authenticator, { mfa_token }, forgery)
  return server.post('/auth/login/mfa', { mfa_token, passkey })
}

/** What the owner reads about their passkeys and sign-ins, newest first. */
async function activityOf(bearer: string): Promise<string[]> {
  const { body } = await server.call('GET', '/auth/activity?limit=100', { bearer })
  return body.events.map(({ type, outcome, reason }: Record<string, string>) =>
    [type, outcome, reason].filter(Boolean).join(' '),
  )
}

t.test('a passkey alone signs in', async (t) => {
  for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
    const { authenticator, email } = await setUp(alg)
    const answer = await answerPasskey(server, OPTIONS, authenticator)
    const signedIn = await server.post('/auth/login/passkey', { ...answer, transport: 'body' })
    t.equal(signedIn.status, 200, signedIn.text)
    t.equal(signedIn.body.user.email, email)
    t.ok(claimsOf(signedIn.body.access_token).amr.includes('mfa'))
  }
})

t.test('a passkey works as second step', async (t) => {
  const { authenticator, email, password } = await setUp()
  const { mfa_token } = (await server.post('/auth/login', { email, password, transport: 'body' })).body
  const passkey = await answerPasskey(server, OPTIONS, authenticator, { mfa_token }, { flags: 0b001 })
  const signedIn = await server.post('/auth/login/mfa', { mfa_token, passkey })
  t.equal(signedIn.status, 200, signedIn.text)
  t.strictSame(claimsOf(signedIn.body.access_token).amr, ['pwd', 'pop', 'mfa'])
})

t.test('twenty uses of one answer sign in once, without a deadlock', async (t) => {
  const { authenticator, email, password } = await setUp()
  const alone = await answerPasskey(server, OPTIONS, authenticator)
  const answers = await twenty(() => server.post('/auth/login/passkey', { ...alone, transport: 'body' }))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ body }) => body.code === 'passkey_invalid').length, 19)

  const { mfa_token } = (await server.post('/auth/login', { email, password, transport: 'body' })).body
  const passkey = await answerPasskey(server, OPTIONS, authenticator, { mfa_token })
  const steps = await twenty(() => server.post('/auth/login/mfa', { mfa_token, passkey }))
  t.equal(steps.filter(({ status }) => status === 200).length, 1)
  t.notOk(steps.some(({ status }) => status >= 500))
})

t.test('an answer for one use does not work for another', async (t) => {
  const { authenticator, email, password, bearer } = await setUp()
  const { mfa_token } = (await server.post('/auth/login', { email, password, transport: 'body' })).body
  const alone = await answerPasskey(server, OPTIONS, authenticator)
  const second = await answerPasskey(server, OPTIONS, authenticator, { mfa_token })
  const stepUp = await answerPasskey(server, '/auth/passkeys/challenge', authenticator, { bearer })
  for (const answer of [second, stepUp]) {
    const refused = await server.post('/auth/login/passkey', { ...answer, transport: 'body' })
    t.match(refused, { status: 400, body: { code: 'passkey_invalid' } })
  }
  for (const passkey of [alone, stepUp]) {
    const refused = await server.post('/auth/login/mfa', { mfa_token, passkey })
    t.match(refused, { status: 401, body: { code: 'mfa_invalid' } })
  }
  for (const passkey of [alone, second]) {
    const refused = await server.post('/auth/passkeys/options', { password, passkey }, { bearer })
    t.match(refused, { status: 401, body: { code: 'mfa_invalid' } })
  }
})

t.test('signing in with a passkey alone requires user verification and a listed origin', async (t) => {
  const { authenticator } = await setUp()
  for (const forgery of [
    { flags: 0b001 },
    { origin: 'https://app.example.com' },
    { rpId: 'example.com' },
    { tamper: true },
    { userHandle: 'AAAAAAAAAAAAAAAAAAAAAA' },
  ]) {
    const answer = await answerPasskey(server, OPTIONS, authenticator, {}, forgery)
    const refused = await server.post('/auth/login/passkey', { ...answer, transport: 'body' })
    t.match(refused, { status: 400, body: { code: 'passkey_invalid' } }, JSON.stringify(forgery))
  }
})

t.test('the challenge without an account reveals nothing about any account', async (t) => {
  const { body } = await server.post(OPTIONS, {})
  t.notOk('allowCredentials' in body.options)
  t.match(body.options, { rpId: 'localhost', userVerification: 'required' })
  const foreign = await answerPasskey(server, OPTIONS, createAuthenticator())
  const refused = await server.post('/auth/login/passkey', { ...foreign, transport: 'body' })
  t.match(refused, { status: 400, body: { code: 'passkey_unknown' } })
})

t.test('only a passkey that no account has is called unknown', async (t) => {
  const { authenticator, userId, password, passkeyId } = await setUp()
  const invalid = { status: 400, body: { code: 'passkey_invalid' } }
  const unknown = { status: 400, body: { code: 'passkey_unknown' } }
  t.match(await signInAlone(createAuthenticator()), unknown)
  t.match(await signInAlone(createAuthenticator(), { tamper: true, flags: 0 }), unknown)
  const answer = await answerPasskey(server, OPTIONS, createAuthenticator())
  const late = { ...answer, challenge_token: 'of another server', transport: 'body' }
  t.match(await server.post('/auth/login/passkey', late), invalid, 'not without a challenge of this server')

  // An id is no secret: who knows one learns that it is in use, and nothing about whose.
  const id = Buffer.from(authenticator.id, 'base64url')
  t.match(await signInAlone(createAuthenticator(), { credentialId: id }), invalid)
  await server.db.user.update({ where: { id: userId }, data: { disabledAt: new Date() } })
  t.match(await signInAlone(authenticator), invalid, 'a disabled account')
  await server.db.user.update({ where: { id: userId }, data: { disabledAt: null } })

  const fresh = await signInAlone(authenticator)
  t.equal(fresh.status, 200, fresh.text)
  const passkey = await answerPasskey(server, '/auth/passkeys/challenge', authenticator, {
    bearer: fresh.body.access_token,
  })
  const removed = await server.call('DELETE', `/auth/passkeys/${passkeyId}`, {
    bearer: fresh.body.access_token,
    body: { password, passkey },
  })
  t.equal(removed.status, 204, removed.text)
  t.match(await signInAlone(authenticator), unknown, 'once it is removed')
  const nobody = { type: 'login', reason: 'passkey_unknown', userId: null }
  t.equal(await countEvents(server.db, nobody), 4)
})

t.test('a refusal of a known passkey is in the activity of its owner, with the reason', async (t) => {
  const owner = await setUp()
  const { authenticator, userId, bearer, password } = owner
  const cases: [fault: string, forgery: Forgery][] = [
    ['wrong_challenge', { challenge: 'AAAA' }],
    ['wrong_origin', { origin: 'https://evil.example' }],
    ['wrong_signature', { tamper: true }],
    ['counter_not_risen', { counter: 0 }],
  ]
  t.equal((await signInAlone(authenticator, { counter: 100 })).status, 200)
  for (const [fault, forgery] of [...cases, ['user_not_verified', { flags: 0b001 }] as const]) {
    const refused = await signInAlone(authenticator, { counter: 200, ...forgery })
    t.match(refused, { status: 400, body: { code: 'passkey_invalid' } }, fault)
    t.notMatch(refused.text, fault, 'the answer does not say why')
    const told = (await activityOf(bearer)).slice(0, 2).sort()
    t.strictSame(told, ['login failure passkey_invalid', `passkey_use failure ${fault}`])
  }
  for (const [fault, forgery] of cases) {
    const refused = await signInSecond(owner, { counter: 200, ...forgery })
    t.match(refused, { status: 401, body: { code: 'mfa_invalid' } }, fault)
    const told = (await activityOf(bearer)).slice(0, 2).sort()
    t.strictSame(told, ['login failure wrong_factor', `passkey_use failure ${fault}`])
  }
  for (const [fault, forgery] of cases) {
    const passkey = await answerPasskey(
      server,
      '/auth/passkeys/challenge',
      authenticator,
      { bearer },
      { counter: 200, ...forgery },
    )
    const refused = await server.post('/auth/passkeys/options', { password, passkey }, { bearer })
    t.match(refused, { status: 401, body: { code: 'mfa_invalid' } }, fault)
    const told = (await activityOf(bearer)).slice(0, 2).sort()
    t.strictSame(told, ['passkey_add failure wrong_factor', `passkey_use failure ${fault}`])
  }
  await server.db.user.update({ where: { id: userId }, data: { disabledAt: new Date() } })
  t.match(await signInAlone(authenticator, { counter: 200 }), { body: { code: 'passkey_invalid' } })
  const last = await server.db.auditEvent.findFirst({ where: { userId }, orderBy: { id: 'desc' } })
  t.match(last, { type: 'login', outcome: 'failure', reason: 'disabled' })
})

t.test('a synced passkey whose counter falls back signs in, and its owner can see it', async (t) => {
  const owner = await setUp('ES256', SYNCED)
  const { authenticator, bearer, password } = owner
  t.equal((await signInAlone(authenticator, { counter: 10 })).status, 200)
  t.notOk((await activityOf(bearer)).some((event) => event.startsWith('passkey_use')))
  t.equal((await signInAlone(authenticator, { counter: 3 })).status, 200)
  t.equal((await signInSecond(owner, { counter: 3 })).status, 200)
  const challenged = '/auth/passkeys/challenge'
  const passkey = await answerPasskey(server, challenged, authenticator, { bearer }, { counter: 2 })
  t.equal((await server.post('/auth/passkeys/options', { password, passkey }, { bearer })).status, 200)
  const noted = (await activityOf(bearer)).filter((event) => event.startsWith('passkey_use'))
  t.strictSame(noted, Array(3).fill('passkey_use success counter_not_risen'))

  const bound = await setUp()
  t.equal((await signInAlone(bound.authenticator, { counter: 10 })).status, 200)
  t.match(await signInAlone(bound.authenticator, { counter: 10 }), { body: { code: 'passkey_invalid' } })
  t.equal((await signInAlone(bound.authenticator, { counter: 11 })).status, 200)
})

t.test('a U2F key is the second factor beside a password, and does not sign in alone', async (t) => {
  for (const userHandle of [null, '', undefined]) {
    const owner = await setUp('ES256', { ...U2F, userHandle })
    const { authenticator, bearer, password, email } = owner
    const bare = await server.post('/auth/login', { email, password, transport: 'body' })
    t.match(bare.body, { code: 'mfa_required', methods: ['passkey', 'recovery_code'] })
    const signedIn = await signInSecond(owner)
    t.equal(signedIn.status, 200, signedIn.text)
    t.strictSame(claimsOf(signedIn.body.access_token).amr, ['pwd', 'pop', 'mfa'])
    t.match(await signInAlone(authenticator), { status: 400, body: { code: 'passkey_invalid' } })
    const told = (await activityOf(bearer)).slice(0, 2).sort()
    t.strictSame(told, ['login failure passkey_invalid', 'passkey_use failure user_not_verified'])
    const passkey = await answerPasskey(server, '/auth/passkeys/challenge', authenticator, { bearer })
    t.equal((await server.post('/auth/passkeys/options', { password, passkey }, { bearer })).status, 200)
  }
})

t.test('the list gives the owner the credential ids, as the browser spells them', async (t) => {
  const { bearer, authenticator } = await setUp('ES256', SYNCED)
  const stranger = await setUp()
  const { body } = await server.call('GET', '/auth/passkeys', { bearer })
  t.strictSame(
    body.passkeys.map(({ credential_id }: { credential_id: string }) => credential_id),
    [authenticator.id],
  )
  t.match(body.passkeys[0].credential_id, /^[A-Za-z0-9_-]{22}$/)
  t.notMatch(JSON.stringify(body), stranger.authenticator.id)
})
