import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createAuthenticator } from '../../support/authenticator.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)

async function setUp() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const authenticator = createAuthenticator()
  const { passkey, recovery_codes: codes = [] } = await addPasskey(
    server,
    account.password,
    bearer,
    authenticator,
  )
  return { ...account, bearer, authenticator, id: passkey.id, codes }
}
type Owner = Awaited<ReturnType<typeof setUp>>

const prove = ({ authenticator, bearer }: Owner) =>
  answerPasskey(server, '/auth/passkeys/challenge', authenticator, { bearer })
const remove = ({ bearer }: Owner, id: string, body: unknown) =>
  server.call('DELETE', `/auth/passkeys/${id}`, { bearer, body })

t.test('removing the last factor removes the recovery codes, and a password is enough again', async (t) => {
  const owner = await setUp()
  const { email, password, bearer, id } = owner
  const removed = await remove(owner, id, { password, passkey: await prove(owner) })
  t.equal(removed.status, 204, removed.text)
  t.equal(removed.text, '')
  t.strictSame((await server.call('GET', '/auth/passkeys', { bearer })).body, { passkeys: [] })
  t.match((await server.mailsTo(email)).at(-1)?.subject, /passkey was removed/)
  const user = await server.db.user.findUniqueOrThrow({ where: { email } })
  t.equal(await server.db.recoveryCode.count({ where: { userId: user.id } }), 0)
  const event = { type: 'passkey_remove', outcome: 'success', userId: user.id }
  t.equal(await server.db.auditEvent.count({ where: event }), 1)
  t.ok((await server.login({ email, password })).access_token)
})

t.test('the codes stay while another factor is left', async (t) => {
  const owner = await setUp()
  const { email, password, bearer, id } = owner
  const second = createAuthenticator()
  await addPasskey(server, password, bearer, second, { passkey: await prove(owner) })
  t.equal((await remove(owner, id, { password, passkey: await prove(owner) })).status, 204)
  const user = await server.db.user.findUniqueOrThrow({ where: { email } })
  t.equal(await server.db.recoveryCode.count({ where: { userId: user.id } }), 10)
  const answer = await server.post('/auth/login', { email, password, transport: 'body' })
  t.match(answer, { status: 401, body: { code: 'mfa_required' } })
})

t.test('a lost passkey can be removed with a recovery code', async (t) => {
  const owner = await setUp()
  const { password, id, codes } = owner
  t.equal((await remove(owner, id, { password, recovery_code: codes[0] })).status, 204)
})

t.test('a session alone cannot remove a passkey', async (t) => {
  const owner = await setUp()
  const { password, id, bearer } = owner
  t.match(await remove(owner, id, { password }), { status: 401, body: { code: 'mfa_required' } })
  const wrong = await remove(owner, id, { password: 'not this one, surely' })
  t.match(wrong, { status: 401, body: { code: 'invalid_credentials' } })
  const passkey = await prove(owner)
  const forged = { ...passkey, credential: { ...passkey.credential, id: 'AAAA', rawId: 'AAAA' } }
  const bad = await remove(owner, id, { password, passkey: forged })
  t.match(bad, { status: 401, body: { code: 'mfa_invalid' } })
  const two = await remove(owner, id, { password, passkey, code: '123456' })
  t.match(two, { status: 400, body: { code: 'validation_failed' } }, 'one proof, not two')
  t.match(await remove(owner, id, undefined), { status: 400, body: { code: 'validation_failed' } })
  t.match(await remove(owner, id, { password, id }), { status: 400, body: { code: 'validation_failed' } })
  t.equal((await server.call('GET', '/auth/passkeys', { bearer })).body.passkeys.length, 1)
})

t.test('an unknown passkey, or one of another account, is not found', async (t) => {
  const [owner, stranger] = [await setUp(), await setUp()]
  const { password } = owner
  const passkey = await prove(owner)
  for (const id of [randomUUID(), stranger.id, stranger.id.toUpperCase()]) {
    const answer = await remove(owner, id, { password, passkey })
    t.match(answer, { status: 404, body: { code: 'not_found' } })
  }
  for (const id of ['1', 'challenge', "'%20OR%201=1--"]) {
    const answer = await remove(owner, id, { password, passkey })
    t.match(answer, { status: 400, body: { code: 'validation_failed' } }, id)
  }
  const removed = await remove(owner, owner.id.toUpperCase(), { password, passkey })
  t.equal(removed.status, 204, 'the proof was not used up')
  const { bearer } = stranger
  t.equal((await server.call('GET', '/auth/passkeys', { bearer })).body.passkeys.length, 1)
})

t.test('of twenty removals with one proof one succeeds', async (t) => {
  const owner = await setUp()
  const { password, id, email } = owner
  const passkey = await prove(owner)
  const answers = await twenty(() => remove(owner, id, { password, passkey }))
  t.equal(answers.filter(({ status }) => status === 204).length, 1)
  t.notOk(answers.some(({ status }) => status >= 500))
  const mails = await server.mailsTo(email)
  t.equal(mails.filter(({ subject }) => /passkey was removed/.test(subject)).length, 1)
})

t.test('parallel removals leave the last factor if the password needs it', async (t) => {
  const owner = await setUp()
  const { bearer, codes, id } = owner
  const second = await addPasskey(server, owner.password, bearer, createAuthenticator(), {
    recovery_code: codes[0],
  })
  const password = 'nine ch r'
  const change = { current_password: owner.password, new_password: password }
  t.equal((await server.post('/auth/change-password', change, { bearer })).status, 204)
  const answers = await Promise.all(
    [id, second.passkey.id].map((each, index) =>
      remove(owner, each, { password, recovery_code: codes[index + 1] }),
    ),
  )
  t.strictSame(answers.map(({ status, body }) => body?.code ?? status).sort(), [204, 'password_too_weak'])
  t.equal(await server.db.passkey.count({ where: { user: { email: owner.email } } }), 1)
  t.equal(await server.db.recoveryCode.count({ where: { user: { email: owner.email } } }), 7)
})

t.test('an account without a passkey gets no challenge', async (t) => {
  const { access_token: bearer } = await server.login(await server.createAccount())
  const answer = await server.post('/auth/passkeys/challenge', {}, { bearer })
  t.match(answer, { status: 404, body: { code: 'not_found' } })
})
