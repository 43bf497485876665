import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { countEvents } from '../../support/events.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { addTotp } from '../../support/factors.ts'
import { patiently } from '../../support/patiently.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const DAY = 86_400_000
const clock = movableClock()
const server = await startServer(t, { clock })
const admin = await createAdministrator(server)
const ask = (id: string, bearer = admin.bearer) =>
  server.call('POST', `/admin/users/${id}/reset-factors`, { bearer })
const keep = (token: string) => server.post('/auth/keep-factors', { token })
const pending = async (userId: string) => (await server.db.factorReset.count({ where: { userId } })) === 1
const hasFactor = async (userId: string) => (await server.db.totpFactor.count({ where: { userId } })) === 1
const eventsOf = (userId: string, type: string) => server.db.auditEvent.findMany({ where: { userId, type } })

async function personAboutToLoseFactors() {
  const person = await createPerson(server)
  const factors = await addTotp(server, person, clock.now())
  const asked = await ask(person.id)
  if (asked.status !== 202) throw new Error(asked.text)
  return { ...person, ...factors, token: await server.lastToken(person.email), pending: asked.body }
}

t.test(
  'opening the link changes nothing, pressing the button stops the removal, once and for all',
  async (t) => {
    const { id, token, email } = await personAboutToLoseFactors()
    const page = await server.call('GET', `/auth/keep-factors?token=${token}`)
    t.equal(page.status, 200)
    t.match(page.text, /Keep my factors/)
    t.equal((await server.call('GET', '/auth/keep-factors?token=x')).status, 400, 'it says nothing untrue')
    t.ok(await pending(id))
    const pressed = await server.call('POST', '/auth/keep-factors', {
      body: `token=${token}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    t.match(pressed.text, /Your second factors stay/)
    t.notOk(await pending(id))
    const answers = await twenty(() => patiently(() => keep(token)))
    t.ok(
      answers.every(({ status, body }) => status === 200 && body.status === 'kept'),
      'a second press is told the truth',
    )
    const events = await eventsOf(id, 'factors_reset_stop')
    t.equal(events.filter(({ reason }) => reason === null).length, 1)
    const told = (await server.mailsTo(email)).filter(({ subject }) => /was stopped/.test(subject))
    t.equal(told.length, 1)
  },
)

t.test('twenty presses at once stop it once', async (t) => {
  const { id, token } = await personAboutToLoseFactors()
  const answers = await twenty(() => patiently(() => keep(token)))
  t.ok(answers.every(({ status }) => status === 200))
  const events = await eventsOf(id, 'factors_reset_stop')
  t.equal(events.filter(({ reason }) => reason === null).length, 1)
  t.ok(await hasFactor(id))
})

t.test('a session shows the removal and stops it', async (t) => {
  const person = await personAboutToLoseFactors()
  const { bearer, id, session } = person
  const shown = await server.call('GET', '/auth/mfa', { bearer })
  t.strictSame(shown.body.reset, person.pending)
  for (const _ of [1, 2]) t.equal((await server.call('DELETE', '/auth/mfa/reset', { bearer })).status, 204)
  t.equal((await server.call('GET', '/auth/mfa', { bearer })).body.reset, null)
  t.match(await eventsOf(id, 'factors_reset_stop'), [
    { reason: null, sessionId: session.id },
    { reason: 'unchanged', sessionId: session.id },
  ])
  const bystander = await personAboutToLoseFactors()
  await server.call('DELETE', '/auth/mfa/reset', { bearer })
  t.ok(await pending(bystander.id), 'another account keeps its own')
})

t.test('the link of an earlier removal does not stop a later one', async (t) => {
  const person = await personAboutToLoseFactors()
  t.equal((await keep(person.token)).status, 200)
  t.equal((await keep(person.token)).status, 200, 'a second press')
  t.equal((await ask(person.id)).status, 202)
  const later = await server.lastToken(person.email)
  t.match(await keep(person.token), { status: 400, body: { code: 'token_invalid' } })
  t.ok(await pending(person.id))
  t.equal((await keep(later)).status, 200)
  t.notOk(await pending(person.id))
})

t.test('the link works whatever happens to the account meanwhile', async (t) => {
  const changed = await personAboutToLoseFactors()
  const body = { current_password: server.password, new_password: 'another long passphrase' }
  t.equal((await server.post('/auth/change-password', body, { bearer: changed.bearer })).status, 204)
  t.equal((await keep(changed.token)).status, 200, 'a new password')

  const reset = await personAboutToLoseFactors()
  await server.post('/auth/request-password-reset', { email: reset.email })
  const link = { token: await server.lastToken(reset.email), password: 'another long passphrase' }
  t.equal((await server.post('/auth/reset-password', link)).status, 204)
  t.equal((await keep(reset.token)).status, 200, 'a reset')

  const disabled = await personAboutToLoseFactors()
  await server.call('POST', `/admin/users/${disabled.id}/disable`, { bearer: admin.bearer })
  t.equal((await keep(disabled.token)).status, 200, 'a disabled account')
  t.notOk(await pending(disabled.id))

  const again = await createPerson(server)
  await addTotp(server, again, clock.now())
  await server.call('POST', `/admin/users/${again.id}/disable`, { bearer: admin.bearer })
  t.equal((await ask(again.id)).status, 202)
  t.equal((await keep(await server.lastToken(again.email))).status, 200, 'asked for while it is disabled')
})

t.test('a link that is wrong, or of removed factors, is invalid, in JSON and as a page', async (t) => {
  const late = movableClock()
  const node = await startServer(t, { clock: late })
  const { bearer } = await createAdministrator(node)
  const person = await createPerson(node)
  await addTotp(node, person, late.now())
  await node.call('POST', `/admin/users/${person.id}/reset-factors`, { bearer })
  const token = await node.lastToken(person.email)
  late.advance(DAY)
  await becomes(t, async () => (await node.db.totpFactor.count()) === 0, 'removed')
  for (const bad of [token, 'nonsense', `${token}x`]) {
    const answer = await node.post('/auth/keep-factors', { token: bad })
    t.match(answer.body, { status: 400, code: 'token_invalid' })
  }
  const page = await node.call('POST', '/auth/keep-factors', {
    body: `token=${token}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  t.equal(page.status, 400)
  t.match(page.text, /sign in with your password and set up new ones/)
  const failures = { type: 'factors_reset_stop', outcome: 'failure', reason: 'token_invalid' }
  t.equal(await countEvents(node.db, failures), 4)
})

t.test('an owner who stops it while it takes effect either keeps all factors or none', async (t) => {
  const own = movableClock()
  const one = await startServer(t, { clock: own })
  const other = await startServer(t, { clock: own, databaseUrl: one.databaseUrl })
  const { bearer } = await createAdministrator(one)
  const people = []
  for (let index = 0; index < 20; index += 1) {
    const person = await createPerson(one)
    await addTotp(one, person, own.now())
    await one.call('POST', `/admin/users/${person.id}/reset-factors`, { bearer })
    people.push({ ...person, token: await one.lastToken(person.email) })
  }
  own.advance(DAY)
  await eventually(async () => (await one.db.factorReset.count()) < people.length)
  const pressing = people.toReversed().map(({ token }, index) => {
    return patiently(() => (index % 2 ? one : other).post('/auth/keep-factors', { token }))
  })
  const statuses = (await Promise.all(pressing)).map(({ status }) => status).reverse()
  await eventually(async () => (await one.db.factorReset.count()) === 0)
  for (const [index, { id }] of people.entries()) {
    const kept = (await one.db.totpFactor.count({ where: { userId: id } })) === 1
    const codes = await one.db.recoveryCode.count({ where: { userId: id } })
    t.equal(codes, kept ? 10 : 0, 'all or none')
    const did = async (type: string) =>
      one.db.auditEvent.count({ where: { userId: id, type, outcome: 'success', reason: null } })
    t.equal(await did('factors_reset'), kept ? 0 : 1)
    t.equal(await did('factors_reset_stop'), kept ? 1 : 0)
    t.equal(statuses[index] === 200, kept, 'what the owner was told is true')
  }
})
