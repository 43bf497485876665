import { type Background, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { SESSION_RETENTION } from '../sessions/sessions.ts'

/** Deletes what has served its time, every hour, on one node of however many there are. */
export interface Retention extends Background {
  /** Deletes everything due now and says how many rows that were. Never rejects: what fails waits for the next run. */
  run(): Promise<number>
}

export interface RetentionDeps extends UsesPlatform<'db' | 'clock' | 'log' | 'metrics'> {
  /** Days an audit event is kept. */
  auditDays: number
  /** Milliseconds between two runs. */
  intervalMs?: number
}

/** Held for the length of a batch, by the node that deletes it. Any number that no other lock has. */
export const RETENTION_LOCK = 7_271_002
const BATCH = 1_000
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Each condition is one that an index serves; `$1` is the moment `days` days ago. */
const rules = (auditDays: number): readonly Rule[] => [
  { table: 'outbox_messages', due: 'sent_at < $1', days: 7 },
  { table: 'outbox_messages', due: 'sent_at IS NULL AND gave_up_at < $1', days: 30 },
  { table: 'one_time_tokens', due: 'expires_at < $1', days: 1 },
  SESSION_RETENTION,
  { table: 'audit_events', due: 'at < $1', days: auditDays },
  // As long as browsers keep the cookie.
  { table: 'known_devices', due: 'last_used_at < $1', days: 400 },
  // For accounts and for addresses that nobody has alike: a difference would tell them apart.
  { table: 'guess_counters', due: 'updated_at < $1', days: 400 },
  // A count that begins anew after ten minutes serves nobody a day later, and names an address on the network.
  { table: 'guess_counters', due: 'resets_at IS NOT NULL AND updated_at < $1', days: 1 },
  { table: 'spent_tickets', due: 'expires_at < $1', days: 1 },
  // Kept while a report from before the lifting may still arrive. No index: the table is small.
  { table: 'mail_suppressions', due: "reason = 'lifted' AND at < $1", days: 30 },
]
interface Rule {
  table: string
  due: string
  days: number
}

export function createRetention(deps: RetentionDeps): Retention {
  const { db, clock, log, metrics, auditDays, intervalMs = HOUR_MS } = deps
  /** The number of rows deleted, or null while another node is at it. */
  function deleteBatch({ table, due, days }: Rule): Promise<number | null> {
    const before = new Date(clock.now() - days * DAY_MS)
    return db.$transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ mine: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${RETENTION_LOCK}::bigint) AS mine`
      if (!lock?.mine) return null
      // Rows that a request holds are left to the next run: nobody waits here, so no deadlock can arise.
      return tx.$executeRawUnsafe(
        `WITH batch AS MATERIALIZED (
          SELECT ctid FROM ${table} WHERE ${due} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED
        )
        DELETE FROM ${table} USING batch WHERE ${table}.ctid = batch.ctid`,
        before,
      )
    })
  }

  async function deleteDue(signal: AbortSignal): Promise<number> {
    let deleted = 0
    for (const rule of rules(auditDays)) {
      try {
        for (let count: number | null = BATCH; count === BATCH && !signal.aborted; ) {
          count = await deleteBatch(rule)
          // The node that holds the lock goes on to the end, so nothing is left undone here.
          if (count === null) return deleted
          deleted += count
        }
      } catch (error) {
        metrics.countBackgroundFailure('retention')
        log.warn({ table: rule.table, reason: (error as Error).name }, 'old rows wait for the next clean-up')
      }
    }
    if (deleted > 0) log.info({ deleted }, 'old rows are deleted')
    return deleted
  }

  let deleted = 0
  const cleaner = repeat({
    task: 'retention',
    everyMs: intervalMs,
    // Somewhere within the first interval: nodes that start together do not all begin at once.
    firstMs: Math.random() * intervalMs,
    run: async (signal) => {
      deleted = await deleteDue(signal)
    },
    failure: { message: 'the clean-up failed' },
    monitor: deps,
  })

  return {
    start: cleaner.start,
    stop: cleaner.stop,
    async run() {
      await cleaner.runNow()
      return deleted
    },
  }
}
