import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { duringSignIn } from '../../support/during-sign-in.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { patiently } from '../../support/patiently.ts'
import { startServer, type TestServer, twenty } from '../../support/server.ts'

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false

const server = await startServer(t)
const { bearer, id: actor } = await createAdministrator(server)
const act = (id: string, action: string, on: TestServer = server) =>
  action === 'delete'
    ? on.call('DELETE', `/admin/users/${id}`, { bearer })
    : on.call('POST', `/admin/users/${id}/${action}`, { bearer })
const refresh = (refresh_token: string) => server.post('/auth/refresh', { refresh_token })
const me = (bearer: string, on: TestServer = server) => on.call('GET', '/me', { bearer })
const bystander = await createPerson(server)

const revocations = [
  ['disable', 'account_disabled', 'account_disable'],
  ['end-sessions', 'ended_by_administrator', 'sessions_end'],
  ['require-password-reset', 'reset_required', 'password_reset_require'],
  ['delete', 'account_deleted', 'account_delete'],
] as const

for (const [action, reason, type] of revocations) {
  t.test(`${action} ends every session on every node, even when called 20 times in parallel`, async (t) => {
    const person = await createPerson(server)
    const [warm, second] = [(await refresh(person.refresh_token)).body, await server.login(person.account)]
    // Not earlier: this node would send some of the mail.
    const other = await startServer(t, { databaseUrl: server.databaseUrl })
    t.equal((await me(warm.access_token, other)).status, 200)

    const answers = await twenty((index) =>
      patiently(() => act(person.id, action, index % 2 ? other : server)),
    )
    const statuses = answers.map(({ status }) => status).sort()
    if (action === 'delete') t.strictSame(statuses, [204, ...Array(19).fill(404)])
    else t.strictSame(statuses, Array(20).fill(204))
    for (const { text, status } of answers) if (status === 204) t.equal(text, '')

    for (const token of [warm.access_token, second.access_token]) {
      await becomes(t, async () => (await me(token)).status === 401, 'here')
      await becomes(t, async () => (await me(token, other)).status === 401, 'there')
    }
    for (const token of [warm.refresh_token, second.refresh_token, person.refresh_token]) {
      t.match((await refresh(token)).body, { code: 'session_ended', reason })
    }
    const events = await server.db.auditEvent.findMany({ where: { type, userId: person.id } })
    t.equal(events.length, 20, 'each call is an event')
    t.ok(events.every((event) => event.actor === actor && event.sessionId === null))
    t.equal(
      events.filter(({ outcome, reason }) => outcome === 'success' && reason === null).length,
      1,
      'one call changed something',
    )
    t.equal((await me(bystander.bearer)).status, 200, 'nobody else is signed out')
  })
}

t.test('links from before an account was disabled do not work when it is enabled again', async (t) => {
  const { account, id } = await createPerson(server)
  await server.post('/auth/request-password-reset', { email: account.email })
  const token = await server.lastToken(account.email)
  await act(id, 'disable')
  await act(id, 'enable')
  const reset = await server.post('/auth/reset-password', { token, password: 'another long passphrase' })
  t.match(reset.body, { status: 400, code: 'token_invalid' })
  t.equal((await server.post('/auth/login', account)).status, 200)
})

t.test('a disabled account cannot sign in until it is enabled, and ended sessions stay ended', async (t) => {
  const { account, id, refresh_token: token } = await createPerson(server)
  await act(id, 'disable')
  const { disabledAt } = await server.db.user.findUniqueOrThrow({ where: { id } })
  t.match((await server.post('/auth/login', account)).body, { code: 'invalid_credentials' })
  t.equal((await act(id, 'disable')).status, 204)
  t.strictSame(
    (await server.db.user.findUniqueOrThrow({ where: { id } })).disabledAt,
    disabledAt,
    'the time of disabling',
  )
  const answers = await twenty(() => act(id, 'enable'))
  t.ok(answers.every(({ status }) => status === 204))
  t.equal((await server.post('/auth/login', account)).status, 200)
  t.match((await refresh(token)).body, { reason: 'account_disabled' })
  const changed = { type: 'account_enable', userId: id, actor, reason: null }
  t.equal(await server.db.auditEvent.count({ where: changed }), 1)
})

t.test('an account whose sessions were ended can sign in again', async (t) => {
  const { account, id } = await createPerson(server)
  await act(id, 'end-sessions')
  t.equal((await server.post('/auth/login', account)).status, 200)
})

t.test('a required reset mails one link, and using it lifts the requirement', async (t) => {
  const { account, id, email } = await createPerson(server)
  await twenty(() => act(id, 'require-password-reset'))
  await act(id, 'require-password-reset')
  const mails = await server.mailsTo(email)
  t.equal(mails.filter(({ text }) => /asks you to choose a new password/.test(text)).length, 1)
  t.ok((await server.db.user.findUniqueOrThrow({ where: { id } })).resetRequiredAt)
  t.match((await server.post('/auth/login', account)).body, { code: 'password_reset_required' })
  const shown = await server.call('GET', `/admin/users/${id}`, { bearer })
  t.match(shown.body.reset_required_at, /^20/)

  const password = 'a wholly new passphrase'
  const reset = { token: await server.lastToken(email), password }
  const same = await server.post('/auth/reset-password', { ...reset, password: account.password })
  t.match(same.body, { status: 400, code: 'password_too_weak', reasons: ['same_as_before'] })
  t.equal((await server.post('/auth/reset-password', reset)).status, 204)
  t.equal((await server.db.user.findUniqueOrThrow({ where: { id } })).resetRequiredAt, null)
  t.equal((await server.post('/auth/login', { ...account, password })).status, 200)
})

t.test('a disabled account gets no link until it is enabled and asks', async (t) => {
  const { account, id, email } = await createPerson(server)
  await act(id, 'disable')
  t.equal((await act(id, 'require-password-reset')).status, 204)
  const mails = await server.mailsTo(email)
  t.notOk(mails.some(({ text }) => /asks you to choose a new password/.test(text)))
  await act(id, 'enable')
  await server.post('/auth/request-password-reset', { email })
  const password = 'a wholly new passphrase'
  await server.post('/auth/reset-password', { token: await server.lastToken(email), password })
  t.equal((await server.post('/auth/login', { ...account, password })).status, 200)
})

t.test('a sign-in that has already checked the password does not survive the call', async (t) => {
  for (const action of ['disable', 'require-password-reset', 'delete']) {
    const { account, id } = await createPerson(server)
    let status: number | undefined
    const login = await duringSignIn(server, account, async () => {
      status = (await act(id, action)).status
    })
    t.equal(status, 204)
    t.match(login.body, { status: 401, code: 'invalid_credentials' }, action)
    t.equal(await server.db.session.count({ where: { userId: id, endedAt: null } }), 0)
  }
})

t.test(
  'a deleted account is gone with its mail, its sessions keep no personal data, and its address is free',
  async (t) => {
    const { account, id, email, session } = await createPerson(server)
    t.equal((await act(id, 'delete')).status, 204)
    t.equal(await server.db.user.count({ where: { email } }), 0)
    const row = await server.db.session.findUniqueOrThrow({ where: { id: session.id } })
    t.match(row, { userId: null, ip: null, userAgent: null, endedReason: 'account_deleted' })
    const mails = await server.mailsTo(email)
    t.equal(mails.filter(({ subject }) => /was deleted/.test(subject)).length, 1)
    t.match((await act(id, 'delete')).body, { code: 'not_found' })
    t.equal((await server.post('/auth/login', account)).status, 401)
    await server.createAccount(email)
    t.equal((await server.post('/auth/login', account)).status, 200)
    const trail = await server.call('GET', `/admin/audit?user_id=${id}&type=account_delete`, { bearer })
    t.match(trail.body.events, [
      { outcome: 'failure', reason: 'not_found' },
      { outcome: 'success', actor },
    ])
  },
)

t.test('an administrator cannot do this to their own account', async (t) => {
  const self = await createAdministrator(server)
  const onOwn = (action: string, id: string) =>
    action === 'delete'
      ? server.call('DELETE', `/admin/users/${id}`, { bearer: self.bearer })
      : server.call('POST', `/admin/users/${id}/${action}`, { bearer: self.bearer })
  for (const [action, , type] of revocations.filter(([name]) => name !== 'end-sessions')) {
    for (const id of [self.id, self.id.toUpperCase()]) {
      t.match((await onOwn(action, id)).body, { status: 409, code: 'own_account' }, action)
    }
    const refused = { type, userId: self.id, actor: self.id, outcome: 'failure', reason: 'own_account' }
    t.equal(await server.db.auditEvent.count({ where: refused }), 2)
  }
  t.equal((await me(self.bearer)).status, 200)
  t.equal((await onOwn('end-sessions', self.id)).status, 204, 'but can end their own sessions')
  t.match((await me(self.bearer)).status, 401)
})

t.test('two administrators who act on each other do not deadlock', async (t) => {
  for (const action of ['disable', 'require-password-reset', 'delete']) {
    const [one, two] = [await createAdministrator(server), await createAdministrator(server)]
    const at = (by: string, id: string) =>
      action === 'delete'
        ? server.call('DELETE', `/admin/users/${id}`, { bearer: by })
        : server.call('POST', `/admin/users/${id}/${action}`, { bearer: by })
    const answers = await Promise.all([at(one.bearer, two.id), at(two.bearer, one.id)])
    t.ok(answers.some(({ status }) => status === 204))
    t.ok(answers.every(({ status }) => [204, 401, 403].includes(status)))
  }
})

t.test(
  'while Redis is unavailable, a 503 says that the revocation is recorded, and it reaches Redis later',
  { skip },
  async (t) => {
    const cut = await startServer(t, { proxies: true })
    const admin = await createAdministrator(cut)
    const people = await Promise.all(revocations.map(() => createPerson(cut)))
    const warm = await Promise.all(
      people.map(
        async (person) => (await cut.post('/auth/refresh', { refresh_token: person.refresh_token })).body,
      ),
    )
    cut.proxies.redis.cut()
    for (const [index, [action]] of revocations.entries()) {
      const id = people[index]?.id
      const path = action === 'delete' ? `/admin/users/${id}` : `/admin/users/${id}/${action}`
      const answer = await cut.call(action === 'delete' ? 'DELETE' : 'POST', path, { bearer: admin.bearer })
      t.match(answer.body, { status: 503, code: 'revocation_pending' }, action)
      t.equal(answer.headers.get('retry-after'), '1')
      t.equal(
        (await cut.call('GET', '/me', { bearer: warm[index].access_token })).status,
        401,
        'refused on this node at once',
      )
    }
    const mails = await cut.mailsTo(`${people[2]?.email}`)
    t.ok(mails.some(({ text }) => /asks you to choose a new password/.test(text)))
    await cut.proxies.redis.heal()
    await eventually(async () => (await cut.call('GET', '/readyz')).body.status === 'ready')
    await eventually(
      async () =>
        (await cut.db.session.count({ where: { endedAt: { not: null }, tombstonedAt: null } })) === 0,
    )
    for (const [index, [, reason]] of revocations.entries()) {
      const { refresh_token } = warm[index]
      t.match((await cut.post('/auth/refresh', { refresh_token })).body, { code: 'session_ended', reason })
    }
    const again = await cut.call('POST', `/admin/users/${people[0]?.id}/disable`, { bearer: admin.bearer })
    t.equal(again.status, 204)
  },
)
