import { setTimeout as sleep } from 'node:timers/promises'
import { type Background, repeat } from '../../platform/background.ts'
import { faultOf } from '../../platform/fault.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { StoreUnavailable } from '../../platform/store-unavailable.ts'
import { SESSION_RETENTION } from '../sessions/sessions.ts'

/** Deletes old rows every hour, on one node at a time and slowly, so that requests do not notice it. */
export interface Retention extends Background {
  /** Deletes everything that is due and returns the number of rows. Never rejects: failures wait for the next run. */
  run(): Promise<number>
}

export interface RetentionDeps extends UsesPlatform<'db' | 'clock' | 'log' | 'metrics'> {
  /** The number of days for which audit events are kept. */
  auditDays: number
  /** Milliseconds between two runs. */
  intervalMs?: number
}

/** An advisory lock, held by one node for the length of a batch. The number must differ from those of other locks. */
export const RETENTION_LOCK = 7_271_002
const BATCH = 1_000
/** The pause after a batch, in lengths of the batch: deleting takes at most a quarter of the time. */
const PAUSE = 3
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Rows are deleted `days` days after the time in a column, on which an index has to begin. */
interface Rule {
  table: string
  column: string
  days: number
  /** Only rows for which this condition holds. */
  where?: string
}

const rules = (auditDays: number): readonly Rule[] => [
  { table: 'outbox_messages', column: 'sent_at', days: 7 },
  { table: 'outbox_messages', column: 'gave_up_at', days: 30, where: 'sent_at IS NULL' },
  { table: 'one_time_tokens', column: 'expires_at', days: 1 },
  { table: 'registrations', column: 'expires_at', days: 0 },
  // They limit the mails of the next hour.
  { table: 'registration_mails', column: 'due_at', days: 1 },
  { table: 'used_tokens', column: 'expires_at', days: 1 },
  SESSION_RETENTION,
  { table: 'audit_events', column: 'at', days: auditDays },
  // As long as browsers keep the cookie.
  { table: 'known_devices', column: 'last_used_at', days: 400 },
  // The same for accounts and for unknown addresses: a difference would reveal which is which.
  { table: 'guess_counters', column: 'updated_at', days: 400 },
  // These counts reset after ten minutes, and their rows name network addresses.
  { table: 'guess_counters', column: 'updated_at', days: 1, where: 'resets_at IS NOT NULL' },
  { table: 'account_exports', column: 'available_at', days: 1 },
  { table: 'spent_tickets', column: 'expires_at', days: 1 },
  { table: 'used_codes', column: 'expires_at', days: 1 },
  // A device that asks late is told that its code has expired.
  { table: 'device_authorizations', column: 'expires_at', days: 1 },
  // Kept while an older report may still arrive.
  { table: 'mail_suppressions', column: 'at', days: 30, where: "reason = 'lifted'" },
]

export function createRetention(deps: RetentionDeps): Retention {
  const { db, clock, log, metrics, auditDays, intervalMs = HOUR_MS } = deps

  /** The number of rows deleted, or null while another node holds the lock. */
  function deleteBatch({ table, column, days, where = 'TRUE' }: Rule): Promise<number | null> {
    const before = new Date(clock.now() - days * DAY_MS)
    return db.$transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ mine: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${RETENTION_LOCK}::bigint) AS mine`
      if (!lock?.mine) return null
      // Rows that a request has locked are left for the next run, so that no deadlock can occur. In the order of the
      // index: without an order Postgres may scan the table when many rows are due.
      return tx.$executeRawUnsafe(
        `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table} WHERE ${where} AND ${column} < $1 ORDER BY ${column} LIMIT ${BATCH}
          FOR UPDATE SKIP LOCKED
        ))`,
        before,
      )
    })
  }

  let failure: unknown

  async function deleteDue(signal: AbortSignal): Promise<number> {
    let deleted = 0
    failure = undefined
    for (const rule of rules(auditDays)) {
      try {
        for (let count: number | null = BATCH; count === BATCH && !signal.aborted; ) {
          const began = performance.now()
          count = await deleteBatch(rule)
          // The node that holds the lock deletes the rest.
          if (count === null) return deleted
          deleted += count
          if (count === BATCH) await pause(PAUSE * (performance.now() - began), signal)
        }
      } catch (error) {
        if (error instanceof StoreUnavailable) throw error
        failure = error
        metrics.countBackgroundFailure('retention')
        log.warn({ table: rule.table, reason: faultOf(error) }, 'old rows could not be deleted this time')
      }
    }
    if (deleted > 0) log.info({ deleted }, 'old rows were deleted')
    return deleted
  }

  const cleaner = repeat({
    task: 'retention',
    everyMs: intervalMs,
    // At random within the first interval, so that nodes that start together do not all begin at once.
    firstMs: Math.random() * intervalMs,
    run: deleteDue,
    failure: { message: 'the clean-up failed' },
    monitor: deps,
  })

  /** For a caller that wants to know, rejects if a table failed. */
  async function runAll(): Promise<number> {
    const deleted = await cleaner.runNow()
    if (failure) throw failure
    return deleted
  }

  return {
    tasks: [{ ...cleaner, runNow: runAll }],
    start: cleaner.start,
    stop: cleaner.stop,
    run: cleaner.runNow,
  }
}

/** Ends early when the signal aborts. */
const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => {})
