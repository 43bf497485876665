import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { EVENTS } from '../../../src/core/events/event-types.ts'
import { type Events, openEvents } from '../../../src/core/events/events.ts'
import { PASSKEY_FAULTS } from '../../../src/core/reasons/reasons.ts'
import { openTestDatabase } from '../../support/database.ts'
import { silentMetrics } from '../../support/monitor.ts'

const context = { ip: '192.0.2.1', userAgent: undefined, requestId: 'r' }

t.test(
  'docs/events.md lists every event with its outcomes and reasons, in the order of the code',
  async (t) => {
    const text = await readFile(new URL('../../../docs/events.md', import.meta.url), 'utf8')
    const rows = [...text.matchAll(/^\| `(\w+)` \| (success|failure) \| ([^|]+) \|/gm)].map(
      ([, type, outcome, reasons = '']) => [type, outcome, reasons.trim().split(', ')],
    )
    const spelled = (reason: string | null) => (reason === null ? 'none' : `\`${reason}\``)
    const expected = Object.entries(EVENTS).flatMap(([type, outcomes]) =>
      (['success', 'failure'] as const)
        .filter((outcome) => outcomes[outcome].length > 0)
        .map((outcome) => [type, outcome, outcomes[outcome].map(spelled)]),
    )
    t.strictSame(rows, expected)
  },
)

t.test('docs/events.md explains every reason for which a passkey is refused', async (t) => {
  const text = await readFile(new URL('../../../docs/events.md', import.meta.url), 'utf8')
  const [, section = ''] = text.split('## Refusals of a passkey')
  t.strictSame(
    [...section.matchAll(/^\| `(\w+)` \| \S/gm)].map(([, reason]) => reason),
    PASSKEY_FAULTS,
  )
})

t.test('a full queue drops events, which is logged and counted', async (t) => {
  const { db, databaseBreaker } = await openTestDatabase(t)
  const familyOf = (index: number) => String(index).padStart(43, 'A')
  const dropped: string[] = []
  const logged: object[] = []
  const metrics = { ...silentMetrics, countDropped: (queue: string) => void dropped.push(queue) }
  const log = { info() {}, warn() {}, error: (fields: object) => void logged.push(fields) }
  const events: Events = openEvents({
    db,
    databaseBreaker,
    clock: { now: () => Date.UTC(2026, 0, 1) },
    log,
    metrics,
    findOwners: async (_db, hashes) =>
      new Map(hashes.map((hash) => [hash, { sessionId: randomUUID(), userId: randomUUID() }])),
  })
  const refusal = { type: 'refresh', outcome: 'failure', reason: 'invalid' } as const
  for (let index = 0; index < 10_003; index += 1)
    events.recordSoon({ ...refusal, familyHash: familyOf(index) }, context)
  t.strictSame(dropped, ['audit_events', 'audit_events', 'audit_events'])
  t.strictSame(logged, [{ queue: 'audit_events' }], 'one line, not one per event')
  await events.stop()
  t.equal(await db.auditEvent.count(), 10_000, 'every accepted event is written')
  t.match(logged[1], { queue: 'audit_events', lost: 3 })
})
