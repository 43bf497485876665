import t from 'tap'
import { startServer } from '../../../test/support/server.ts'
import { totpCode } from '../../../test/support/totp.ts'
import { ClientError } from '../src/index.ts'
import { openDevice } from './support.ts'

const server = await startServer(t)

t.test('from sign-up to sign-out', async (t) => {
  const { client, storage } = openDevice(t, server)
  t.strictSame(client.getSnapshot(), { status: 'loading' })
  t.equal(await client.getUser(), null)
  t.strictSame(client.getSnapshot(), { status: 'signed_out' })

  const account = { email: server.freshEmail(), password: server.password }
  const { registration_token } = await client.signUp({ ...account, name: 'Ada' })
  t.type(registration_token, 'string')
  await t.rejects(client.signIn({ ...account, registration_token: `${registration_token}` }), {
    code: 'email_not_verified',
  })
  const token = await server.lastToken(account.email)
  t.match(await client.verifyEmail({ token, registration_token: `${registration_token}` }), {
    status: 'verified',
  })
  t.match(await client.signIn(account), { status: 'signed_in', user: { email: account.email, name: 'Ada' } })
  t.match(client.getSnapshot(), { status: 'signed_in', user: { email: account.email } })
  t.strictSame(Object.keys(storage.kept()).sort(), ['device', 'token'], 'no access token is stored')

  t.match(await client.getUser(), { email: account.email })
  t.match(await client.updateUser({ name: 'Ada L.' }), { name: 'Ada L.' })
  t.match(client.getSnapshot(), { user: { name: 'Ada L.' } })
  t.match(await client.listSessions(), [{ current: true, transport: 'body' }])
  t.match(await client.listActivity({ limit: 1 }), { events: [{ type: String }] })
  t.strictSame(await client.listGrants(), [])

  await client.signOut()
  t.strictSame(client.getSnapshot(), { status: 'signed_out', reason: 'logout' })
  t.strictSame(Object.keys(storage.kept()), ['device'], 'the device stays known')
  await t.rejects(client.getAccessToken(), { code: 'signed_out' })
})

t.test('a sign-in in two steps', async (t) => {
  const { client } = openDevice(t, server)
  const account = await server.createAccount()
  await client.signIn(account)
  const { secret } = await client.startTotp({ password: account.password })
  const { recovery_codes } = await client.confirmTotp(totpCode(secret, Date.now()))
  t.match(await client.getFactors(), { totp: true, recovery_codes: recovery_codes.length })
  await client.signOut()

  const first = await client.signIn(account)
  t.match(first, { status: 'second_step', methods: ['totp', 'recovery_code'] })
  t.equal(client.getSnapshot().status, 'signed_out', 'nobody is signed in yet')
  const { mfaToken } = first as { mfaToken: string }
  await t.rejects(client.completeSignIn(mfaToken, { code: '000000' }), { code: 'mfa_invalid' })
  const second = await client.completeSignIn(mfaToken, { recovery_code: recovery_codes[0] as string })
  t.match(second, { status: 'signed_in', user: { mfa_enabled: true } })
})

t.test('a refusal has the code and the words of the server', async (t) => {
  const { client } = openDevice(t, server)
  const refused = client.signIn({ email: server.freshEmail(), password: 'not the password' })
  const error = await refused.catch((error) => error)
  t.type(error, ClientError)
  t.match(error, { code: 'invalid_credentials', problem: { status: 401, request_id: String } })
  t.equal(error.endsSession, false)
  await t.rejects(client.signUp({ email: 'nobody', password: 'short' }), {
    code: 'validation_failed',
    problem: { errors: [{ pointer: '/email' }] },
  })
})

t.test('signing out everywhere ends the other devices, and they learn why', async (t) => {
  const account = await server.createAccount()
  const here = openDevice(t, server)
  await here.client.signIn(account)
  here.client.dispose()
  const there = openDevice(t, server)
  await there.client.signIn(account)
  const again = here.restart()
  t.match(await again.getUser(), { email: account.email })
  const changes: string[] = []
  again.subscribe(() => changes.push(JSON.stringify(again.getSnapshot())))
  again.dispose()

  const other = there.restart()
  await other.getUser()
  await other.signOutEverywhere()
  other.dispose()

  const last = here.restart()
  t.equal(await last.getUser(), null)
  t.match(last.getSnapshot(), { status: 'signed_out', reason: 'logout_all' })
})
