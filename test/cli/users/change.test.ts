import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { duringSignIn } from '../../support/during-sign-in.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { addTotp } from '../../support/factors.ts'
import { startServer } from '../../support/server.ts'
import { operator, usersCommand } from '../../support/users-command.ts'

const server = await startServer(t)
const users = usersCommand(server.databaseUrl)
const meAs = async (bearer: string) => (await server.call('GET', '/me', { bearer })).status

t.test('the command line makes the first administrator, from a verified account', async (t) => {
  const admin = await createAdministrator(server)
  await server.db.user.update({ where: { id: admin.id }, data: { roles: ['editor'] } })
  const rules = async () => (await server.call('GET', '/admin/users', { bearer: admin.bearer })).status
  t.equal(await rules(), 403)
  t.match(await users('grant-admin', admin.email.toUpperCase()), `${admin.email} is an administrator now; `)
  t.equal(await rules(), 200)
  t.match(await users('grant-admin', admin.email), 'is an administrator already')
  t.strictSame((await server.db.user.findUniqueOrThrow({ where: { id: admin.id } })).roles, [
    'editor',
    'admin',
  ])

  t.match(await users('revoke-admin', admin.email), 'is no longer an administrator; 1 session ends')
  await eventually(async () => (await meAs(admin.bearer)) === 401)
  const refresh = () => server.post('/auth/refresh', { refresh_token: admin.refresh_token })
  await eventually(async () => (await refresh()).body.reason === 'role_changed')
  t.strictSame((await server.db.user.findUniqueOrThrow({ where: { id: admin.id } })).roles, ['editor'])
  const back = await server.login(admin.account)
  t.match(await users('revoke-admin', admin.email), 'was not an administrator')
  t.equal(await meAs(back.access_token), 200, 'a command that changes nothing ends no session')

  // Only a disabled account of the previous version can be without a verified address.
  const { email, id } = await createPerson(server)
  await server.db.user.update({ where: { id }, data: { emailVerifiedAt: null, disabledAt: new Date() } })
  await t.rejects(users('grant-admin', email), { message: /address has not been verified/ })
  const events = await server.db.auditEvent.findMany({
    where: { type: { in: ['role_grant', 'role_revoke'] } },
    orderBy: { at: 'asc' },
  })
  t.strictSame(
    events.map((event) => [event.type, event.outcome, event.reason, event.actor]),
    [
      ['role_grant', 'success', null, operator],
      ['role_grant', 'success', 'unchanged', operator],
      ['role_revoke', 'success', null, operator],
      ['role_revoke', 'success', 'unchanged', operator],
      ['role_grant', 'failure', 'email_not_verified', operator],
    ],
  )
})

t.test('a sign-in in progress does not restore a revoked role', async (t) => {
  const { account, id, email } = await createPerson(server)
  await server.db.user.update({ where: { id }, data: { roles: ['admin'] } })
  const revoking = await duringSignIn(server, account, () => users('revoke-admin', email))
  t.match(revoking.body, { code: 'invalid_credentials' })
  const { body } = await server.post('/auth/login', account)
  t.strictSame(body.user.roles, [])
})

t.test('end-sessions ends all sessions, and the account can sign in again', async (t) => {
  const person = await createPerson(server)
  await server.login(person.account)
  t.equal(await users('end-sessions', person.email), '2 sessions end within a second\n')
  await eventually(async () => (await meAs(person.bearer)) === 401)
  const refresh = () => server.post('/auth/refresh', { refresh_token: person.refresh_token })
  await eventually(async () => (await refresh()).body.reason === 'ended_by_administrator')
  t.equal((await server.post('/auth/login', person.account)).status, 200)
})

t.test('repeating a command only reports that nothing changed', async (t) => {
  const { email } = await createPerson(server)
  t.equal(await users('disable', email), 'disabled; 1 session ends within a second\n')
  t.equal(await users('disable', email), 'disabled already\n')
})

t.test('the nodes mail a required reset; the command needs their configuration', async (t) => {
  const person = await createPerson(server)
  await t.rejects(users('require-reset', person.email), { message: /APP_SECRETS is missing/ })
  t.equal(await meAs(person.bearer), 200, 'nothing has changed')
  Object.assign(process.env, {
    NODE_ENV: 'test',
    PUBLIC_URL: 'http://localhost:8080',
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    REDIS_URL: 'redis://127.0.0.1:1',
  })
  const require = () => users('require-reset', person.email)
  t.equal(await require(), 'a new password is required; 1 session ends within a second\n')
  t.equal(await require(), 'a new password is required already\n')
  await eventually(async () => (await meAs(person.bearer)) === 401)
  t.match((await server.post('/auth/login', person.account)).body, { code: 'password_reset_required' })
  const mails = await server.mailsTo(person.email)
  t.equal(mails.filter(({ text }) => /asks you to choose a new password/.test(text)).length, 1)
  const password = 'a wholly new passphrase'
  const token = await server.lastToken(person.email)
  t.equal((await server.post('/auth/reset-password', { token, password })).status, 204)
  t.equal((await server.post('/auth/login', { ...person.account, password })).status, 200)
})

t.test('lost factors are removed after a delay, which can be withdrawn or skipped', async (t) => {
  const person = await createPerson(server)
  const { email, id, account } = person
  await t.rejects(users('reset-factors', email), { message: /no second factor/ })
  await addTotp(server, person, Date.now())
  t.match(
    await users('reset-factors', email),
    /^the second factors are removed at 20\S+Z, unless the owner stops it\n$/,
  )
  t.match(await users('reset-factors', email), /this was asked for already/)
  t.match(await users('show', email), /state: .*second factors are removed at 20/)
  const link = await server.lastToken(email)
  t.equal(await users('keep-factors', email), 'the second factors stay\n')
  t.equal(await users('keep-factors', email), 'nobody has asked to remove the second factors\n')
  t.equal((await server.post('/auth/keep-factors', { token: link })).status, 200, 'and so the owner is told')

  await users('reset-factors', email)
  t.equal(await users('reset-factors', email, '--now'), 'the second factors are removed within a second\n')
  await becomes(t, async () => (await server.db.totpFactor.count({ where: { userId: id } })) === 0, 'removed')
  t.equal((await server.post('/auth/login', account)).status, 200)
  const events = await server.db.auditEvent.findMany({ where: { userId: id, type: 'factors_reset' } })
  t.match(events, [{ actor: operator, reason: null }])
  const told = (await server.mailsTo(email)).filter(({ subject }) => /were removed/.test(subject))
  t.equal(told.length, 1)
})

t.test('an account is deleted only with --yes', async (t) => {
  const person = await createPerson(server)
  await t.rejects(users('delete', person.email), {
    message: new RegExp(
      `this would permanently delete ${person.email}, created 20.*, with 1 live session; confirm with --yes`,
    ),
  })
  t.equal(await meAs(person.bearer), 200)
  t.equal(
    await users('delete', person.email, '--yes'),
    'deleted; 1 session ends within a second; the owner gets no mail about it\n',
  )
  await eventually(async () => (await meAs(person.bearer)) === 401)
  t.equal(await server.db.user.count({ where: { id: person.id } }), 0)
  const refresh = () => server.post('/auth/refresh', { refresh_token: person.refresh_token })
  await eventually(async () => (await refresh()).body.reason === 'account_deleted')
  await t.rejects(users('delete', person.email, '--yes'), { message: /no account with that address/ })
})
