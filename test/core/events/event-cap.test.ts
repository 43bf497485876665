import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { openEvents } from '../../../src/core/events/events.ts'
import { openTestDatabase } from '../../support/database.ts'
import { countEvents } from '../../support/events.ts'
import { eventually } from '../../support/eventually.ts'
import { silentMetrics } from '../../support/monitor.ts'

const context = { ip: '192.0.2.1', userAgent: 'a test', requestId: 'r' }
const MINUTE = Date.UTC(2026, 0, 1, 12, 34)
const refused = { type: 'refresh', outcome: 'failure' } as const

async function setUp(t: Test) {
  const { db, databaseBreaker } = await openTestDatabase(t)
  const time = { now: MINUTE }
  const userId = randomUUID()
  const events = openEvents({
    db,
    databaseBreaker,
    clock: { now: () => time.now },
    log: { info() {}, warn() {}, error() {} },
    metrics: silentMetrics,
    // Every session is this user's.
    findOwners: async (_db, hashes) =>
      new Map(hashes.map((hash) => [hash, { sessionId: randomUUID(), userId }])),
  })
  return { db, events, time, userId, count: (where: object) => db.auditEvent.count({ where }) }
}

t.test('one account cannot fill the table with refusals, whatever sessions they are about', async (t) => {
  const { db, events, time, userId, count } = await setUp(t)
  const flood = (reason: 'logout' | 'expired') => {
    for (let index = 0; index < 500; index += 1)
      events.recordSoon({ ...refused, reason, familyHash: String(index).padStart(43, 'A') }, context)
  }
  flood('logout')
  flood('expired')
  time.now += 60_000
  flood('logout')
  const reuse = { ...refused, reason: 'reuse_detected', userId } as const
  for (let index = 0; index < 3; index += 1) await events.record(db, reuse, context)
  await events.stop()
  t.equal(await count({ userId, reason: 'logout' }), 120, 'sixty a minute')
  t.equal(await count({ userId, reason: 'expired' }), 60, 'each reason for itself')
  t.equal(await count({ userId, reason: 'reuse_detected' }), 3)
  t.equal(await countEvents(db, { reason: 'logout' }), 1_000, 'the others are counted')
  t.equal(await count({ userId: null, clientId: null }), 3, 'a row for each minute and reason')
})

t.test('a client that asks for tokens again and again, and failures in a transaction', async (t) => {
  const { db, events, userId, count } = await setUp(t)
  const issued = { type: 'client_token', outcome: 'success', reason: 'client_credentials' } as const
  for (let index = 0; index < 200; index += 1) {
    events.recordSoon({ ...issued, clientId: 'one' }, context)
    events.recordSoon({ ...issued, clientId: `client-${index}` }, context)
    await events.record(db, { type: 'login', outcome: 'failure', reason: 'passkey_invalid', userId }, context)
    await events.record(db, { type: 'login', outcome: 'success', userId }, context)
  }
  await events.stop()
  t.equal(await count({ clientId: 'one' }), 60)
  t.equal(await count({ type: 'client_token', clientId: { not: null } }), 260)
  t.equal(await countEvents(db, { type: 'client_token' }), 400)
  t.equal(await count({ userId, outcome: 'failure' }), 60)
  t.equal(await countEvents(db, { outcome: 'failure' }), 200)
  t.equal(await count({ userId, outcome: 'success' }), 200, 'successes have budgets instead')
})

t.test('an event that is dropped because too many wait does not count against the cap', async (t) => {
  const { events, userId, count } = await setUp(t)
  const wrong = { type: 'client_authentication', outcome: 'failure', reason: 'wrong_secret' } as const
  const fromOne = () => events.recordSoon({ ...wrong, clientId: 'one' }, context)
  for (let index = 0; index < 10_000; index += 1)
    events.recordSoon({ ...refused, reason: 'logout', familyHash: String(index).padStart(43, 'A') }, context)
  for (let index = 0; index < 100; index += 1) fromOne()
  events.start()
  await eventually(async () => (await count({ userId })) > 0)
  for (let index = 0; index < 100; index += 1) fromOne()
  await events.stop()
  t.equal(await count({ clientId: 'one' }), 60)
})

t.test('what somebody does to an account is always kept', async (t) => {
  const { db, events, userId, count } = await setUp(t)
  const refusal = { type: 'login', outcome: 'failure', reason: 'disabled', userId, actor: 'cli' } as const
  for (let index = 0; index < 100; index += 1) await events.record(db, refusal, context)
  await events.stop()
  t.equal(await count({ userId }), 100)
})
