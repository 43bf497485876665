import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

/** Deletes what nobody needs any more, every hour, on one node of however many there are. */
export interface Retention {
  start(): void
  /** Resolves once the batch under way is settled; no other begins. */
  stop(): Promise<void>
  /** Deletes everything due now and says how many rows that were. Never rejects: what fails waits for the next run. */
  run(): Promise<number>
}

export interface RetentionDeps {
  db: Database
  clock: Clock
  log: { info(details: object, message: string): void; warn(details: object, message: string): void }
  /** Days an audit event is kept. */
  auditDays: number
  /** Milliseconds between two runs. */
  intervalMs?: number
}

/** Held for the length of a batch, by the node that deletes it. Any number of ours. */
export const RETENTION_LOCK = 7_271_002
const BATCH = 1_000
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Each condition is one that an index serves; `$1` is the moment `days` days ago. */
const rules = (auditDays: number) => [
  { table: 'outbox_messages', due: 'sent_at < $1', days: 7 },
  { table: 'outbox_messages', due: 'sent_at IS NULL AND gave_up_at < $1', days: 30 },
  { table: 'one_time_tokens', due: 'expires_at < $1', days: 1 },
  // Ended sessions are listed for 30 days; beyond its absolute expiry a family needs no tombstone either.
  { table: 'sessions', due: 'absolute_expires_at < $1', days: 30 },
  { table: 'audit_events', due: 'at < $1', days: auditDays },
  // As long as browsers keep the cookie.
  { table: 'known_devices', due: 'last_used_at < $1', days: 400 },
  // For accounts and for addresses that nobody has alike: a difference would tell them apart.
  { table: 'guess_counters', due: 'updated_at < $1', days: 400 },
  // A count that begins anew after ten minutes is of no use a day later, and names an address on the network.
  { table: 'guess_counters', due: 'resets_at IS NOT NULL AND updated_at < $1', days: 1 },
  { table: 'spent_tickets', due: 'expires_at < $1', days: 1 },
  // Kept while a report from before the lifting may still arrive. No index: the table is small.
  { table: 'mail_suppressions', due: "reason = 'lifted' AND at < $1", days: 30 },
]
type Rule = ReturnType<typeof rules>[number]

export function createRetention(deps: RetentionDeps): Retention {
  const { db, clock, log, auditDays, intervalMs = HOUR_MS } = deps
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> = Promise.resolve()
  let stopped = false

  /** The number of rows deleted, or null while another node is at it. */
  function deleteBatch({ table, due, days }: Rule): Promise<number | null> {
    const before = new Date(clock.now() - days * DAY_MS)
    return db.$transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ mine: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${RETENTION_LOCK}::bigint) AS mine`
      if (!lock?.mine) return null
      // Rows that a request holds are left to the next run: nobody waits here, so nobody can wait crosswise.
      return tx.$executeRawUnsafe(
        `WITH batch AS MATERIALIZED (
          SELECT ctid FROM ${table} WHERE ${due} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED
        )
        DELETE FROM ${table} USING batch WHERE ${table}.ctid = batch.ctid`,
        before,
      )
    })
  }

  async function run(): Promise<number> {
    let deleted = 0
    for (const rule of rules(auditDays)) {
      try {
        for (let count: number | null = BATCH; count === BATCH && !stopped; ) {
          count = await deleteBatch(rule)
          // Whoever holds the lock goes on to the end, so nothing is left undone here.
          if (count === null) return deleted
          deleted += count
        }
      } catch (error) {
        log.warn({ table: rule.table, reason: (error as Error).name }, 'old rows wait for the next clean-up')
      }
    }
    if (deleted > 0) log.info({ deleted }, 'old rows are deleted')
    return deleted
  }

  function queue(): Promise<number> {
    const mine = running.then(run)
    running = mine
    return mine
  }

  function schedule(ms: number): void {
    timer = setTimeout(() => {
      void queue().then(() => {
        if (!stopped) schedule(intervalMs)
      })
    }, ms).unref()
  }

  return {
    start() {
      stopped = false
      // Somewhere within the first interval: nodes that start together do not all begin at once.
      schedule(Math.random() * intervalMs)
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
    run: queue,
  }
}
