import { createHash } from 'node:crypto'
import { type Background, repeat, type Task } from '../../platform/background.ts'
import { StoreUnavailable } from '../../platform/circuit-breaker.ts'
import { createDropReport } from '../../platform/drop-report.ts'
import { faultOf } from '../../platform/fault.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

/** An event that is about no account and was caused by nobody who is known. */
export interface EventOfNobody {
  type: string
  outcome: string
  reason: string | null
}

/**
 * Events of nobody. Strangers can cause any number of them, so that each minute has one row for each type, outcome and
 * reason, with their count; the request log has each by itself.
 */
export interface Tally extends Background {
  readonly tasks: readonly Task[]
  /** `at` in milliseconds since the epoch. Written within a second. */
  add(event: EventOfNobody, at: number): void
  /** Writes what was added; callers at the same time share a statement. @throws when it cannot be written now. */
  flush(): Promise<void>
}

interface Counted extends EventOfNobody {
  id: string
  /** The start of the minute, in milliseconds since the epoch. */
  at: number
  count: number
}

const MINUTE_MS = 60_000
const FLUSH_MS = 500
// Hours of an outage of Postgres, even if every kind of event occurs in every minute.
const MAX_ROWS = 20_000

export function createTally(deps: UsesPlatform<'db' | 'databaseBreaker' | 'log' | 'metrics'>): Tally {
  const { db, databaseBreaker, log } = deps
  const full = createDropReport('audit_tally', deps)
  let counts = new Map<string, Counted>()

  function add({ type, outcome, reason }: EventOfNobody, time: number, count = 1): void {
    const at = time - (time % MINUTE_MS)
    const key = `${at} ${type} ${outcome} ${reason}`
    const known = counts.get(key)
    if (known) known.count += count
    else if (counts.size >= MAX_ROWS) full.dropped(count)
    else counts.set(key, { id: idOf(at, type, outcome, reason), at, type, outcome, reason, count })
  }

  /** If it fails after all, a count can be too high, never too low. In the order of ids, so that nodes do not deadlock. */
  async function write(): Promise<void> {
    if (counts.size === 0) return
    const written = counts
    counts = new Map()
    const rows = [...written.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
    try {
      await db.$executeRaw`
        INSERT INTO audit_events AS e (id, at, type, outcome, reason, count)
        SELECT r.id, to_timestamp(r.at / 1000.0), r.type, r.outcome, r.reason, r.count
        FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
          AS r(id uuid, at bigint, type text, outcome text, reason text, count int)
        ON CONFLICT (id) DO UPDATE SET count = e.count + EXCLUDED.count`
    } catch (error) {
      for (const { at, count, ...event } of rows) add(event, at, count)
      throw error
    }
    full.end()
  }

  const writer = repeat({
    task: 'audit_tally',
    everyMs: FLUSH_MS,
    run: async () => {
      if (!databaseBreaker.isOpen) await write()
    },
    failure: {
      message: 'counts of audit events wait for Postgres',
      recovered: 'counts of audit events are written again',
    },
    monitor: deps,
  })

  return {
    add: (event, at) => add(event, at),
    async flush() {
      if (databaseBreaker.isOpen) throw new StoreUnavailable('postgres')
      await writer.runNow()
    },
    tasks: writer.tasks,
    start: writer.start,
    async stop() {
      await writer.stop()
      await write().catch((error: Error) =>
        log.error(
          { reason: faultOf(error), lost: counts.size },
          'counts of audit events could not be written',
        ),
      )
    },
  }
}

/** The same on every node: a UUIDv7 (RFC 9562 §5.7) of the minute, whose random bits are a hash of what is counted. */
function idOf(at: number, ...what: (string | null)[]): string {
  const hex = createHash('sha256')
    .update(JSON.stringify([at, ...what]))
    .digest('hex')
  const time = at.toString(16).padStart(12, '0')
  const parts = [
    time.slice(0, 8),
    time.slice(8),
    `7${hex.slice(0, 3)}`,
    `8${hex.slice(3, 6)}`,
    hex.slice(6, 18),
  ]
  return parts.join('-')
}
