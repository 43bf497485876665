import t from 'tap'
import { createAuthenticator } from '../../support/authenticator.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)

async function setUp(alg: 'ES256' | 'EdDSA' | 'RS256' = 'ES256') {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const authenticator = createAuthenticator(alg)
  await addPasskey(server, account.password, bearer, authenticator)
  return { ...account, bearer, authenticator }
}
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString())
const OPTIONS = '/auth/login/passkey/options'

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
  t.match(refused, { status: 400, body: { code: 'passkey_invalid' } })
})
