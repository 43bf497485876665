import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { createLateMessages } from '../../../src/core/outbox/outbox.ts'
import { openTestDatabase } from '../../support/database.ts'
import { becomes } from '../../support/eventually.ts'
import { silentMetrics } from '../../support/monitor.ts'
import { recordingMonitor } from '../../support/recording-monitor.ts'

const MINUTE = 60_000
const START = Date.UTC(2026, 0, 1)
const { db } = await openTestDatabase(t)

function setUp(options?: { everyMs: number }) {
  const { log, lines } = recordingMonitor()
  const state = { now: START }
  const clock = { now: () => state.now }
  const late = createLateMessages({ db, clock, log, metrics: silentMetrics }, options)
  const pass = async (ms: number) => {
    state.now += ms
    await late.runNow()
    return lines.splice(0).map(({ level, fields }) => ({ level, ...fields }))
  }
  return { late, lines, pass }
}

/** Queues a message that may leave at once, or later. */
const queue = (kind: string, scheduledAt = START) =>
  db.outboxMessage.create({
    data: {
      id: uuidv7(),
      kind,
      topic: 'verify_email',
      recipient: 'canary@example.test',
      sealed: new Uint8Array(),
      createdAt: new Date(START),
      scheduledAt: new Date(scheduledAt),
      nextAttemptAt: new Date(scheduledAt),
    },
  })
const send = (kind: string) => db.outboxMessage.updateMany({ where: { kind }, data: { sentAt: new Date() } })

t.beforeEach(async () => {
  await db.outboxMessage.deleteMany()
})

t.test('a kind that waits too long is a line at the start, every five minutes, and at the end', async (t) => {
  const { pass } = setUp()
  await queue('mail')
  t.strictSame(await pass(0), [])
  t.strictSame(await pass(14 * MINUTE), [])
  t.match(await pass(MINUTE), [
    { level: 'error', event: 'outbox_late', kind: 'mail', seconds: 900, advice: /\w/ },
  ])
  t.strictSame(await pass(MINUTE), [])
  t.strictSame(await pass(3 * MINUTE), [])
  t.match(await pass(MINUTE), [{ event: 'outbox_late', seconds: 1_200 }])
  await queue('logout')
  t.match(
    await pass(MINUTE),
    [{ event: 'outbox_late', kind: 'logout', seconds: 1_260 }],
    'each kind by itself',
  )
  await send('mail')
  t.match(await pass(MINUTE), [{ level: 'warn', event: 'outbox_on_time', kind: 'mail' }])
  t.match(await pass(4 * MINUTE), [{ event: 'outbox_late', kind: 'logout' }])
  await send('logout')
  const end = await pass(MINUTE)
  t.match(end, [{ event: 'outbox_on_time', kind: 'logout' }])
  t.strictSame(await pass(60 * MINUTE), [])
  t.notMatch(JSON.stringify(end), 'canary')
})

t.test('a message that waits for a cap is not late', async (t) => {
  const { pass } = setUp()
  await queue('mail', START + 60 * MINUTE)
  t.strictSame(await pass(59 * MINUTE), [])
  t.match(await pass(16 * MINUTE), [{ event: 'outbox_late', seconds: 900 }])
})

t.test('a node looks by itself', async (t) => {
  const { late, lines, pass } = setUp({ everyMs: 5 })
  await queue('mail', START - 60 * MINUTE)
  late.start()
  t.teardown(late.stop)
  await becomes(t, async () => lines.length === 1, 'it says so')
  t.strictSame((await pass(MINUTE)).length, 1, 'once')
})

t.test('where Postgres refuses to say, nothing is known, and nothing is logged', async (t) => {
  const closed = await openTestDatabase(t)
  const { log, lines } = recordingMonitor()
  const late = createLateMessages({ db: closed.db, clock: { now: () => START }, log, metrics: silentMetrics })
  await closed.db.$executeRaw`ALTER TABLE outbox_messages RENAME TO elsewhere`
  await late.runNow()
  t.strictSame(lines, [])
})
