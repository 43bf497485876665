import t from 'tap'
import type { RequestContext } from '../../../src/core/events/events.ts'
import type { UserPrincipal } from '../../../src/core/principals/principals.ts'
import { createAuthenticator } from '../../support/authenticator.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const { stepUp, accessTokens } = server.app.services
const { password } = server
const context: RequestContext = { ip: '192.0.2.1', userAgent: 'a test', requestId: 'a-request' }

const UNPROVEN = { code: 'invalid_credentials' }
const PASSWORD_MISSING = { code: 'validation_failed', members: { errors: [{ pointer: '/password' }] } }

/** A person who is signed in; without a password if an identity provider signs them in. */
async function createPerson({ passkey, hasPassword }: { passkey: boolean; hasPassword: boolean }) {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const authenticator = createAuthenticator()
  if (passkey) await addPasskey(server, password, bearer, authenticator)
  const principal = (await accessTokens.verify(bearer)) as UserPrincipal
  if (!hasPassword) {
    await server.db.user.update({ where: { id: principal.userId }, data: { passwordHash: null } })
  }
  const answer = (forgery = {}) =>
    answerPasskey(server, '/auth/passkeys/challenge', authenticator, { bearer }, forgery)
  return { account, principal, answer }
}

const failures = (userId: string) =>
  server.db.auditEvent.findMany({
    where: { userId, type: 'step_up', outcome: 'failure' },
    select: { reason: true },
    orderBy: { at: 'asc' },
  })

t.test('an account without a password is confirmed by its passkey alone', async (t) => {
  const { principal, answer } = await createPerson({ passkey: true, hasPassword: false })
  const user = await stepUp.require(principal, { passkey: await answer() }, context)
  t.match(user, { id: principal.userId, passwordHash: null })
  t.strictSame(await failures(principal.userId), [])
})

t.test('an account without a password is asked for its passkey if it sends none', async (t) => {
  const { principal } = await createPerson({ passkey: true, hasPassword: false })
  await t.rejects(stepUp.require(principal, {}, context), {
    code: 'mfa_required',
    members: { methods: ['passkey', 'recovery_code'] },
  })
})

t.test('the passkey of an account without a password must match, and works once', async (t) => {
  const { principal, answer } = await createPerson({ passkey: true, hasPassword: false })
  const wrong = { passkey: await answer({ tamper: true }) }
  await t.rejects(stepUp.require(principal, wrong, context), { code: 'mfa_invalid' })
  const right = { passkey: await answer() }
  await stepUp.require(principal, right, context)
  await t.rejects(stepUp.require(principal, right, context), { code: 'mfa_invalid' })
  t.strictSame(await failures(principal.userId), [{ reason: 'wrong_factor' }, { reason: 'wrong_factor' }])
})

t.test('the passkey of another account proves nothing', async (t) => {
  const { principal } = await createPerson({ passkey: true, hasPassword: false })
  const stranger = await createPerson({ passkey: true, hasPassword: false })
  const proof = { passkey: await stranger.answer() }
  await t.rejects(stepUp.require(principal, proof, context), { code: 'mfa_invalid' })
})

t.test('an account without a password accepts none, not even with the right passkey', async (t) => {
  const { principal, answer } = await createPerson({ passkey: true, hasPassword: false })
  for (const guess of [password, '', 'nobody']) {
    const proof = { password: guess, passkey: await answer() }
    await t.rejects(stepUp.require(principal, proof, context), UNPROVEN)
    await t.rejects(stepUp.password(principal, guess, context), UNPROVEN)
  }
  t.equal((await failures(principal.userId)).length, 6)
})

t.test('an account with a password needs it, whatever else is sent', async (t) => {
  const { principal, answer } = await createPerson({ passkey: true, hasPassword: true })
  await t.rejects(stepUp.require(principal, { passkey: await answer() }, context), PASSWORD_MISSING)
  await t.rejects(stepUp.require(principal, {}, context), PASSWORD_MISSING)
  await t.rejects(stepUp.require(principal, { password }, context), { code: 'mfa_required' })
  const user = await stepUp.require(principal, { password, passkey: await answer() }, context)
  t.equal(user.id, principal.userId)
})

t.test('an account with only a password is confirmed by it alone', async (t) => {
  const { principal } = await createPerson({ passkey: false, hasPassword: true })
  await t.rejects(stepUp.require(principal, {}, context), PASSWORD_MISSING)
  await t.rejects(stepUp.require(principal, { password: 'wrong' }, context), UNPROVEN)
  t.equal((await stepUp.require(principal, { password }, context)).id, principal.userId)
})

t.test('an account with neither cannot step up', async (t) => {
  const { principal, answer } = await createPerson({ passkey: false, hasPassword: false })
  const borrowed = await createPerson({ passkey: true, hasPassword: false })
  await t.rejects(answer(), /no challenge/, 'there is no passkey to ask for')
  for (const proof of [{}, { password }, { code: '123456' }, { passkey: await borrowed.answer() }]) {
    await t.rejects(stepUp.require(principal, proof, context), UNPROVEN, Object.keys(proof).join())
  }
})

t.test('a disabled or deleted account cannot step up', async (t) => {
  const { principal, answer } = await createPerson({ passkey: true, hasPassword: false })
  const passkey = await answer()
  await server.db.user.update({ where: { id: principal.userId }, data: { disabledAt: new Date() } })
  await t.rejects(stepUp.require(principal, { passkey }, context), UNPROVEN)
  await server.db.user.delete({ where: { id: principal.userId } })
  await t.rejects(stepUp.require(principal, { passkey }, context), UNPROVEN)
})

t.test('an account without a password cannot sign in with one', async (t) => {
  for (const passkey of [true, false]) {
    const { account } = await createPerson({ passkey, hasPassword: false })
    for (const guess of [password, '', 'nobody', 'null']) {
      const answer = await server.post('/auth/login', { email: account.email, password: guess })
      t.equal(answer.status, 401)
      t.equal(answer.body.code, 'invalid_credentials')
    }
  }
})
