import t from 'tap'
import { createAdministrator, createPerson, plantUsers } from '../../support/administrator.ts'
import { startServer } from '../../support/server.ts'
import { jsonLines, operator, usersCommand } from '../../support/users-command.ts'

const server = await startServer(t)
const users = usersCommand(server.databaseUrl)

t.test('accounts are listed and shown, as text and as JSON lines', async (t) => {
  const person = await createPerson(server)
  const odd = { email: `100%_${person.email}`, name: 'Ev\u009bil \u202egnp' }
  await plantUsers(server, [odd])
  await server.db.user.update({
    where: { id: person.id },
    data: { roles: ['admin'], disabledAt: new Date(), resetRequiredAt: new Date() },
  })
  const list = await users('list', person.email.toUpperCase())
  t.match(list, `${person.email}  Ada  disabled, reset required, administrator`)
  t.equal(list.split('\n').length, 3)
  t.match(list, 'Ev\ufffdil \ufffdgnp', 'user input cannot control the terminal')
  t.strictSame((await users('list', '100%_')).split('\n').length, 2)

  const listed = jsonLines(await users('list', person.email, '--json'))
  const found = await createAdministrator(server).then(({ bearer }) =>
    server.call('GET', `/admin/users?query=${person.email}`, { bearer }),
  )
  t.strictSame(listed, found.body.users, 'the same as over HTTP')
  const errors = t.capture(console, 'error')
  t.equal(jsonLines(await users('list', '--limit', '1', '--json')).length, 1)
  t.match(errors(), [{ args: ['only the newest 1: ask for more with --limit'] }])
  t.equal(await users('list', 'nobody at all'), '')
  t.match(errors(), [{ args: ['none'] }])

  const shown = await users('show', person.email)
  t.match(shown, /^id: +[0-9a-f-]{36}\nemail: /)
  t.match(shown, /\nstate: +disabled, reset required\nroles: +admin\n/)
  t.match(await users('show', (await createPerson(server)).email), /\nstate: +active\n/)
  t.match(shown, /\nlive sessions: +1\n/)
  t.match(shown, 'authenticator app: no, passkeys: 0, recovery codes left: 0')
  t.match(jsonLines(await users('show', person.email, '--json')), [
    { id: person.id, live_sessions: 1, factors: { totp: false, passkeys: 0 }, mail: null },
  ])
  t.equal(
    await server.db.auditEvent.count({ where: { type: 'account_view', userId: person.id, actor: operator } }),
    2,
  )
})

t.test('the audit trail can be read, for all accounts or for one', async (t) => {
  const person = await createPerson(server)
  await server.post('/auth/login', { ...person.account, password: 'wrong' })
  await users('disable', person.email)
  const text = await users('audit', person.email)
  t.match(
    text,
    new RegExp(`account_disable  success  account ${person.id}  by ${operator.replace(/[()]/g, '\\$&')}\n`),
  )
  t.match(text, new RegExp(`login  failure  wrong_password  account ${person.id}  from 127.0.0.1\n`))
  const events = jsonLines(await users('audit', person.email, '--json', '--limit', '3'))
  t.match(events, [
    { type: 'audit_read', actor: operator, ip: 'command line', user_id: person.id },
    { type: 'account_disable', actor: operator },
    { type: 'login', outcome: 'failure', actor: null },
  ])
  t.match(jsonLines(await users('audit', '--json', '--limit', '1')), [
    { type: 'audit_read', user_id: person.id },
  ])

  await users('enable', person.email)
  const { access_token: bearer } = await server.login(person.account)
  const { body } = await server.call('GET', '/auth/activity', { bearer })
  t.match(body.events[1], { type: 'account_enable', by: 'operator', ip: null, session_id: null })
})

t.test('no line ends with a blank, whatever is missing', async (t) => {
  const { email, id } = await createPerson(server)
  await server.db.user.update({ where: { id }, data: { name: null } })
  const odd = { email: `odd-${email}`, name: 'Ada ' }
  await plantUsers(server, [odd])
  const shown = await users('show', email)
  t.match(shown, /\nname:\n.*\nroles:\n/s)
  for (const printed of [shown, await users('list', email), await users('audit', email)]) {
    t.notMatch(printed, /[ \t]$/m)
  }
})

t.test('a wrong argument is answered with the usage, an unknown account with an error', async (t) => {
  for (const args of [
    [],
    ['forget', 'x'],
    ['show'],
    ['disable'],
    ['constructor', 'x@example.com'],
    ['delete', 'nobody@example.com', 'somebody@example.com', '--yes'],
    ['list', '--limit', '0'],
    ['list', '--limit', '1e3'],
  ]) {
    await t.rejects(users(...args), { name: 'UsageError', message: /^[^\n]+$/ }, args.join(' '))
  }
  for (const action of ['show', 'audit', 'disable', 'delete', 'grant-admin']) {
    const message = 'there is no account with that address'
    await t.rejects(users(action, 'nobody@example.com'), { message }, action)
    await t.rejects(users(action, 'not an address'), { message: 'that is not an e-mail address' }, action)
  }
})
