import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { type Events, openEvents } from '../../../src/core/events/events.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { countEvents } from '../../support/events.ts'
import { until } from '../../support/eventually.ts'
import { silentMetrics } from '../../support/monitor.ts'
import { startServer } from '../../support/server.ts'

const context = { ip: '192.0.2.1', userAgent: 'a test', requestId: 'r' }
const MINUTE = Date.UTC(2026, 0, 1, 12, 34)
const unknown = { type: 'login', outcome: 'failure', reason: 'unknown_user' } as const
const invalid = { type: 'refresh', outcome: 'failure', reason: 'invalid' } as const

async function setUp(t: Test) {
  const { db, databaseBreaker } = await openTestDatabase(t)
  const time = { now: MINUTE + 5_000 }
  const node = (): Events =>
    openEvents({
      db,
      databaseBreaker,
      clock: { now: () => time.now },
      log: { info() {}, warn() {}, error() {} },
      metrics: silentMetrics,
      findOwners: async () => new Map(),
    })
  const rows = async () =>
    (await db.auditEvent.findMany({ orderBy: [{ at: 'asc' }, { type: 'asc' }] })).map((row) => [
      row.at.getTime(),
      row.type,
      row.reason,
      row.count,
    ])
  return { db, time, node, rows }
}

t.test('failures without an owner are one row a minute, kind and reason, on all nodes', async (t) => {
  const { db, time, node, rows } = await setUp(t)
  const nodes = [node(), node(), node()]
  await Promise.all(
    Array.from({ length: 150 }, (_, index) => nodes[index % 3]?.record(db, unknown, { ...context })),
  )
  t.strictSame(
    await rows(),
    [[MINUTE, 'login', 'unknown_user', 150]],
    'each is written before it is answered',
  )
  for (const each of nodes) for (let turn = 0; turn < 40; turn += 1) each.recordSoon(invalid, context)
  time.now += 60_000
  for (const each of nodes) each.recordSoon({ ...invalid, familyHash: 'A'.repeat(43) }, context)
  for (const each of nodes) await each.stop()
  t.strictSame(await rows(), [
    [MINUTE, 'login', 'unknown_user', 150],
    [MINUTE, 'refresh', 'invalid', 120],
    [MINUTE + 60_000, 'refresh', 'invalid', 3],
  ])
  const [row] = await db.auditEvent.findMany({ take: 1, orderBy: { id: 'asc' } })
  t.match(row, { ip: null, userAgent: null, requestId: null, userId: null, actor: null })
  t.match(row?.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
})

t.test('an event of an account or an actor has a row of its own', async (t) => {
  const { db, node, rows } = await setUp(t)
  const events = node()
  const userId = randomUUID()
  for (let turn = 0; turn < 3; turn += 1) {
    await events.record(db, [{ ...unknown, userId }, unknown], context)
    await events.record(db, { type: 'account_search', outcome: 'success', actor: 'command line' }, context)
  }
  t.equal((await rows()).length, 7)
  t.equal(await db.auditEvent.count({ where: { userId, ip: context.ip } }), 3)
})

t.test('what a transaction records counts only if it commits', async (t) => {
  const { db, node, rows } = await setUp(t)
  const events = node()
  const transact = createTransact(db)
  await t.rejects(
    transact(async (tx) => {
      await events.record(tx, unknown, context)
      throw new Error('rolled back')
    }),
  )
  await transact((tx) => events.record(tx, unknown, context))
  await events.stop()
  t.strictSame(await rows(), [[MINUTE, 'login', 'unknown_user', 1]])
})

t.test('counts outlive an outage of Postgres', async (t) => {
  const { db, node, rows } = await setUp(t)
  const events = node()
  await db.$executeRaw`ALTER TABLE audit_events RENAME TO gone`
  await t.rejects(events.record(db, unknown, context))
  await t.rejects(events.record(db, unknown, context))
  await db.$executeRaw`ALTER TABLE gone RENAME TO audit_events`
  await events.record(db, unknown, context)
  t.strictSame(await rows(), [[MINUTE, 'login', 'unknown_user', 3]])
})

t.test('strangers do not fill the trail over HTTP, and administrators see how often', async (t) => {
  const server = await startServer(t)
  const before = await server.db.auditEvent.count()
  const token = 'A'.repeat(43)
  const calls = [
    ['/auth/login', () => ({ email: server.freshEmail(), password: 'not the password' })],
    ['/auth/request-password-reset', () => ({ email: server.freshEmail() })],
    ['/auth/refresh', () => ({ refresh_token: 'nonsense' })],
    ['/auth/reset-password', () => ({ token, password: server.password })],
    ['/auth/verify-email', () => ({ token, password: server.password })],
    ['/auth/unlock', () => ({ token })],
    ['/auth/keep-factors', () => ({ token })],
    ['/auth/confirm-email-change', () => ({ token })],
    ['/auth/login/mfa', () => ({ mfa_token: 'nonsense', code: '123456' })],
    ['/auth/register', () => ({ email: server.freshEmail(), password: server.password })],
  ] as const
  const times = 6
  // A busy machine may answer some with 503.
  let answered = 0
  for (const [path, body] of calls) {
    for (let turn = 0; turn < times; turn += 1)
      answered += (await server.post(path, body())).status < 500 ? 1 : 0
  }
  const counted = () => countEvents(server.db, { userId: null })
  await until('all are counted', async () => (await counted()) >= answered)
  t.ok((await counted()) <= calls.length * times)
  // The minute may change meanwhile, on a slow machine more than once.
  t.ok((await server.db.auditEvent.count()) - before <= calls.length * 4)
})
