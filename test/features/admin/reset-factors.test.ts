import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { addEveryFactor, addTotp } from '../../support/factors.ts'
import { patiently } from '../../support/patiently.ts'
import { movableClock, startServer, type TestServer, twenty } from '../../support/server.ts'

const DAY = 86_400_000
const clock = movableClock()
const server = await startServer(t, { clock })
const { bearer, id: actor } = await createAdministrator(server)
const at = (id: string) => `/admin/users/${id}/reset-factors`
const ask = (id: string, by = bearer, on: TestServer = server) => on.call('POST', at(id), { bearer: by })
const withdraw = (id: string, by = bearer) => server.call('DELETE', at(id), { bearer: by })
const eventsOf = (id: string, type: string) =>
  server.db.auditEvent.findMany({ where: { userId: id, type }, orderBy: { at: 'asc' } })
const pendingOf = (userId: string) => server.db.factorReset.findUnique({ where: { userId } })
const subjects = async (email: string) => (await server.mailsTo(email)).map(({ subject }) => subject)

t.test('the factors are removed after the delay, once though two nodes run', async (t) => {
  const own = movableClock()
  const node = await startServer(t, { clock: own })
  const other = await startServer(t, { clock: own, databaseUrl: node.databaseUrl })
  const admin = await createAdministrator(node)
  const people = await Promise.all(Array.from({ length: 5 }, () => createPerson(node)))
  for (const person of people) await addEveryFactor(node, person, own.now())
  for (const { id } of people) {
    const asked = await ask(id, admin.bearer, node)
    t.equal(asked.status, 202)
    t.equal(Date.parse(asked.body.effective_at) - Date.parse(asked.body.requested_at), DAY)
  }
  own.advance(DAY / 2)
  const [first] = people as [(typeof people)[number]]
  const half = await node.post('/auth/login', { ...first.account, transport: 'body' })
  t.match(half.body, { code: 'mfa_required', methods: ['totp', 'passkey', 'recovery_code'] }, 'nothing yet')

  const { securityVersion } = await node.db.user.findUniqueOrThrow({ where: { id: first.id } })
  own.advance(DAY / 2)
  await becomes(t, async () => (await node.db.factorReset.count()) === 0, 'all are carried out')
  for (const { id, account, email, refresh_token } of people) {
    t.equal(await node.db.totpFactor.count({ where: { userId: id } }), 0)
    t.equal(await node.db.passkey.count({ where: { userId: id } }), 0)
    t.equal(await node.db.recoveryCode.count({ where: { userId: id } }), 0)
    t.equal(await node.db.oneTimeToken.count({ where: { userId: id } }), 0)
    const events = await node.db.auditEvent.findMany({ where: { type: 'factors_reset', userId: id } })
    t.match(events, [{ outcome: 'success', reason: null, actor: admin.id }])
    t.equal(events.length, 1)
    const mails = (await node.mailsTo(email)).filter(({ subject }) => /factors .* removed/.test(subject))
    t.strictSame(
      mails.map(({ subject }) => subject),
      ['Your second factors at localhost are to be removed', 'Your second factors at localhost were removed'],
    )
    await eventually(async () => {
      const { body } = await other.post('/auth/refresh', { refresh_token })
      return body.code === 'session_ended' && body.reason === 'factors_reset'
    })
    t.equal((await node.post('/auth/login', account)).status, 200, 'the password is enough')
  }
  const raised = await node.db.user.findUniqueOrThrow({ where: { id: first.id } })
  t.equal(raised.securityVersion, securityVersion + 1)
  const late = await other.post('/auth/login/mfa', { mfa_token: half.body.mfa_token, code: '000000' })
  t.match(late.body, { code: 'mfa_invalid' })
})

t.test('twenty requests in parallel are one, and a later one changes nothing', async (t) => {
  const person = await createPerson(server)
  await addTotp(server, person, clock.now())
  const answers = await twenty(() => patiently(() => ask(person.id)))
  t.strictSame([...new Set(answers.map(({ status }) => status))], [202])
  t.equal(new Set(answers.map(({ body }) => body.effective_at)).size, 1)
  clock.advance(60_000)
  t.equal((await ask(person.id)).body.effective_at, answers[0]?.body.effective_at)
  const events = await eventsOf(person.id, 'factors_reset_request')
  t.ok(events.length >= 21, 'each call is an event')
  t.ok(events.every((event) => event.outcome === 'success' && event.actor === actor))
  t.equal(events.filter(({ reason }) => reason === null).length, 1)
  t.equal((await subjects(person.email)).filter((subject) => /are to be removed/.test(subject)).length, 1)
  t.equal((await server.call('GET', '/me', { bearer: person.bearer })).status, 200, 'no session has ended')
})

t.test(
  'an administrator cannot reset an account without factors, an unknown one, or their own',
  async (t) => {
    const person = await createPerson(server)
    t.match((await ask(person.id)).body, { status: 409, code: 'no_factors' })
    await server.post('/auth/mfa/totp', { password: server.password }, { bearer: person.bearer })
    t.match((await ask(person.id)).body, { code: 'no_factors' }, 'an app that is being set up is no factor')
    t.match((await ask(randomUUID())).body, { status: 404, code: 'not_found' })
    t.match((await withdraw(randomUUID())).body, { status: 404, code: 'not_found' })
    for (const id of [actor, actor.toUpperCase()]) t.match((await ask(id)).body, { code: 'own_account' })
    const refused = await eventsOf(person.id, 'factors_reset_request')
    t.match(refused, [
      { outcome: 'failure', reason: 'no_factors', actor },
      { outcome: 'failure', reason: 'no_factors', actor },
    ])
    t.equal(await server.db.factorReset.count({ where: { userId: { in: [person.id, actor] } } }), 0)
  },
)

t.test('administrators see what is pending, and withdraw it; the owner learns of both', async (t) => {
  const person = await createPerson(server)
  await addTotp(server, person, clock.now())
  const { effective_at } = (await ask(person.id)).body
  const shown = await server.call('GET', `/admin/users/${person.id}`, { bearer })
  t.equal(shown.body.factors_reset_at, effective_at)
  const listed = await server.call('GET', `/admin/users?query=${person.email}`, { bearer })
  t.equal(listed.body.users[0].factors_reset_at, effective_at)

  const answers = await twenty(() => patiently(() => withdraw(person.id)))
  t.ok(answers.every(({ status }) => status === 204))
  const events = await eventsOf(person.id, 'factors_reset_withdraw')
  t.equal(events.filter(({ reason }) => reason === null).length, 1)
  t.ok(events.length >= 20)
  const told = (await server.mailsTo(person.email)).filter(({ subject }) => /was stopped/.test(subject))
  t.equal(told.length, 1)
  t.notMatch(told[0]?.text, /IP address/, 'the place of an administrator is not told')
  const after = await server.call('GET', `/admin/users/${person.id}`, { bearer })
  t.equal(after.body.factors_reset_at, null)

  const activity = await server.call('GET', '/auth/activity', { bearer: person.bearer })
  const asked = activity.body.events.find((event: { type: string }) => event.type === 'factors_reset_request')
  t.match(asked, { by: 'administrator', ip: null, user_agent: null })
})

t.test('an owner gets a mail for every request, so there are few in an hour', async (t) => {
  const person = await createPerson(server)
  await addTotp(server, person, clock.now())
  for (let index = 0; index < 5; index += 1) {
    t.equal((await ask(person.id)).status, 202)
    await withdraw(person.id)
  }
  const refused = await ask(person.id)
  t.match(refused.body, { status: 429, code: 'too_many_attempts', reason: 'rate_limited' })
  t.equal(refused.headers.get('retry-after'), '3600')
  t.equal(await pendingOf(person.id), null)
  const told = (await subjects(person.email)).filter((subject) => /are to be removed/.test(subject))
  t.equal(told.length, 5)
})

t.test('what became due while no node ran is carried out at the next start', async (t) => {
  const own = movableClock()
  const first = await startServer(t, { clock: own })
  const admin = await createAdministrator(first)
  const person = await createPerson(first)
  await addTotp(first, person, own.now())
  // The database outlives this node.
  const { databaseUrl } = first
  const watching = await startServer(t, { databaseUrl, clock: { now: () => 0 } })
  await ask(person.id, admin.bearer, first)
  await first.close()
  own.advance(2 * DAY)
  t.equal(await watching.db.totpFactor.count(), 1)
  await startServer(t, { databaseUrl, clock: own })
  await becomes(t, async () => (await watching.db.totpFactor.count()) === 0, 'removed')
})

t.test(
  'an account whose factors are gone already, and one that was deleted, are left as they are',
  async (t) => {
    const own = movableClock()
    const node = await startServer(t, { clock: own })
    const admin = await createAdministrator(node)
    const [person, deleted] = [await createPerson(node), await createPerson(node)]
    for (const each of [person, deleted]) {
      await addTotp(node, each, own.now())
      await ask(each.id, admin.bearer, node)
    }
    t.equal((await node.call('DELETE', `/admin/users/${deleted.id}`, { bearer: admin.bearer })).status, 204)
    t.equal(await node.db.factorReset.count(), 1)
    await node.db.totpFactor.deleteMany({ where: { userId: person.id } })
    own.advance(DAY)
    await becomes(t, async () => (await node.db.factorReset.count()) === 0, 'carried out')
    const events = await node.db.auditEvent.findMany({ where: { type: 'factors_reset' } })
    t.match(events, [{ userId: person.id, reason: 'unchanged' }])
    t.equal(events.length, 1)
    const { body } = await node.post('/auth/refresh', { refresh_token: person.refresh_token })
    t.ok(body.access_token, 'its sessions go on')
  },
)

t.test(
  'an account whose factors cannot be removed does not hold up the others, and is tried again',
  async (t) => {
    const own = movableClock()
    const node = await startServer(t, { clock: own })
    const admin = await createAdministrator(node)
    const [stuck, other] = [await createPerson(node), await createPerson(node)]
    for (const each of [stuck, other]) {
      await addTotp(node, each, own.now())
      await ask(each.id, admin.bearer, node)
    }
    await node.db.$executeRawUnsafe(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN IF OLD.user_id = ''${stuck.id}'' THEN RAISE EXCEPTION ''no''; END IF; RETURN OLD; END'`)
    await node.db
      .$executeRaw`CREATE TRIGGER refuse BEFORE DELETE ON totp_factors FOR EACH ROW EXECUTE FUNCTION refuse()`
    own.advance(DAY)
    const left = async ({ id }: { id: string }) => node.db.totpFactor.count({ where: { userId: id } })
    await becomes(t, async () => (await left(other)) === 0, 'the other is carried out')
    await becomes(
      t,
      () => node.logs.some((line) => /could not be removed/.test(line)),
      'the failure is logged',
    )
    t.equal(await left(stuck), 1)
    t.equal(await node.db.recoveryCode.count({ where: { userId: stuck.id } }), 10, 'all or nothing')
    await node.db.$executeRaw`DROP TRIGGER refuse ON totp_factors`
    await becomes(t, async () => (await left(stuck)) === 0, 'carried out later')
  },
)
