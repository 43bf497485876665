import { createHash } from 'node:crypto'
import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import { Problem } from '../problems/problems.ts'

/** The two counters that a guess raises: its client's, and the lasting one of all such clients. */
export interface Buckets {
  here: string
  everywhere: string
}

/** The two counters of a guess, of which only Postgres may know: then they depend on a condition. */
export interface BucketChoice {
  buckets: Buckets
  /** Instead of them, if this SQL condition holds. */
  unless?: { condition: Prisma.Sql; buckets: Buckets }
}

/** The failures after a guess was counted; null where a cap refused it. */
export interface CountRow {
  here: number | null
  everywhere: number | null
  resets_at: Date | null
}

export const LOCK_FAILURES = 10
export const LOCK_MS = 10 * 60_000
export const LASTING_FAILURES = 100
export const LASTING = ':lasting'

// The lasting cap does not expire; the link mailed to the owner lifts it.
const LASTING_RETRY_S = 3_600

export const accountKey = (account: string) => new Uint8Array(createHash('sha256').update(account).digest())

/** Parts of a statement that counts a guess. */
export interface Counting {
  /** Common table expressions. */
  ctes: Prisma.Sql
  /** Select list: {@link CountRow}. */
  columns: Prisma.Sql
}

/**
 * Raises both counters in one statement. A refused guess is not counted, so `uncount` only ever takes back a guess
 * that was; the next guess can then trigger the lock. The commit is not waited for: what a wrong guess writes before it
 * is answered makes the count durable too.
 */
export function countingOf(account: Uint8Array<ArrayBuffer>, choice: BucketChoice, nowMs: number): Counting {
  const now = new Date(nowMs)
  const resetsAt = new Date(nowMs + LOCK_MS)
  const chosen = (name: keyof Buckets) =>
    choice.unless
      ? Prisma.sql`CASE WHEN ${choice.unless.condition} THEN ${choice.unless.buckets[name]}::text
          ELSE ${choice.buckets[name]}::text END`
      : Prisma.sql`${choice.buckets[name]}::text`
  const ctes = Prisma.sql`
    bucket AS MATERIALIZED (
      SELECT ${chosen('here')} AS here, ${chosen('everywhere')} AS everywhere,
        set_config('synchronous_commit', 'off', true)
    ), counted_here AS (
      INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
      SELECT ${account}::bytea, here, 1, ${resetsAt}::timestamptz, ${now}::timestamptz FROM bucket
      ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at,
        resets_at = EXCLUDED.resets_at,
        failures = CASE WHEN c.resets_at <= EXCLUDED.updated_at THEN 1 ELSE c.failures + 1 END
      WHERE c.failures < ${LOCK_FAILURES} OR c.resets_at <= EXCLUDED.updated_at
      RETURNING failures
    ), counted_everywhere AS (
      INSERT INTO guess_counters AS c (account, bucket, failures, updated_at)
      SELECT ${account}::bytea, everywhere, 1, ${now}::timestamptz FROM bucket, counted_here
      ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at, failures = c.failures + 1
      WHERE c.failures < ${LASTING_FAILURES}
      RETURNING failures
    )`
  const columns = Prisma.sql`
    (SELECT failures FROM counted_here) AS here, (SELECT failures FROM counted_everywhere) AS everywhere,
    (SELECT c.resets_at FROM guess_counters c, bucket b WHERE c.account = ${account}::bytea AND c.bucket = b.here)
      AS resets_at`
  return { ctes, columns }
}

/** Common table expressions that remove both counters if a condition holds, in the order in which they are raised. */
export const clearing = (
  account: Uint8Array<ArrayBuffer>,
  { here, everywhere }: Buckets,
  condition: Prisma.Sql,
): Prisma.Sql => Prisma.sql`
  cleared_here AS (
    DELETE FROM guess_counters WHERE account = ${account} AND bucket = ${here} AND ${condition} RETURNING 1
  ), cleared_everywhere AS (
    DELETE FROM guess_counters WHERE account = ${account} AND bucket = ${everywhere} AND ${condition}
      AND (SELECT count(*) FROM cleared_here) >= 0
  )`

/** @throws `too_many_attempts` for a guess that a cap refused. */
export function requireCounted(row: CountRow, now: number): { here: number; everywhere: number } {
  if (row.here === null) {
    const waitMs = (row.resets_at?.getTime() ?? now + LOCK_MS) - now
    const retryAfter = Math.max(1, Math.ceil(waitMs / 1000))
    throw new Problem('too_many_attempts', { reason: 'locked', detail: HERE, retryAfter })
  }
  if (row.everywhere === null) {
    const reason = 'locked_until_unlocked'
    throw new Problem('too_many_attempts', { reason, detail: EVERYWHERE, retryAfter: LASTING_RETRY_S })
  }
  return { here: row.here, everywhere: row.everywhere }
}

const HERE =
  'Too many failed attempts from here. We e-mailed the owner of the account a link that unlocks it.'
const EVERYWHERE =
  'Too many failed attempts in a row. We e-mailed the owner of the account a link that unlocks it.'

/** Deletes counters in the order in which they are raised, to avoid deadlocks, and returns their number. */
export async function forgetCounters(
  tx: Queryable,
  account: Uint8Array<ArrayBuffer>,
  bucket: { startsWith: string } | { contains: string },
): Promise<number> {
  const lasting = { bucket: { endsWith: LASTING } }
  const first = await tx.guessCounter.deleteMany({ where: { account, bucket, NOT: lasting } })
  const last = await tx.guessCounter.deleteMany({ where: { account, bucket, AND: lasting } })
  return first.count + last.count
}
