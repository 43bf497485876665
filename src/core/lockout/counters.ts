import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import { Problem } from '../problems/problems.ts'
import type { AccountKey, AccountKeys } from './account-key.ts'

/** The two counters that a guess raises: its client's, and the lasting one of all such clients. */
export interface Buckets {
  here: string
  everywhere: string
}

/** How an account knows a device: it has signed in, or the link that unlocks the account was pressed in it. */
export type DeviceStanding = 'signed_in' | 'unlocked'

/** The two counters of a guess: those of strangers, unless the account knows the device. */
export interface BucketChoice {
  strangers: Buckets
  /** `standing` is SQL that yields a {@link DeviceStanding} or null. */
  known: { standing: Prisma.Sql; buckets: Record<DeviceStanding, Buckets> } | null
}

/** The counters that were chosen, and the failures after a guess was counted; null where a cap refused it. */
export interface CountRow {
  bucket_here: string
  bucket_everywhere: string
  account_here: AccountKey
  account_everywhere: AccountKey
  here: number | null
  everywhere: number | null
  /** Until when the first count held before this guess, and when a guess was last counted there. */
  resets_at: Date | null
  counted_at: Date | null
}

export const LOCK_FAILURES = 10
export const LOCK_MS = 10 * 60_000
export const LASTING_FAILURES = 100
export const LASTING = ':lasting'

// The lasting cap does not expire; the link mailed to the owner lifts it.
const LASTING_RETRY_S = 3_600

/**
 * SQL: the key under which an account has the higher count in a bucket; the newest key if it has none there. A count
 * stays under the key with which it began, so that nodes with other secrets go on with it.
 */
const keyIn = (keys: AccountKeys, bucket: Prisma.Sql) => Prisma.sql`COALESCE(
  (SELECT account FROM guess_counters WHERE account IN (${Prisma.join(keys)}) AND bucket = ${bucket}
    ORDER BY resets_at DESC NULLS FIRST, failures DESC LIMIT 1), ${keys[0]}::bytea)`

/** Parts of a statement that counts a guess. */
export interface Counting {
  /** Common table expressions. */
  ctes: Prisma.Sql
  /** Select list: {@link CountRow}. */
  columns: Prisma.Sql
  /** The one row that the select list is read from. */
  source: Prisma.Sql
}

/**
 * Raises both counters in one statement. A refused guess is not counted, so `uncount` only ever takes back a guess
 * that was; the next guess can then trigger the lock. The commit is not waited for: what a wrong guess writes before it
 * is answered makes the count durable too.
 */
export function countingOf(keys: AccountKeys, choice: BucketChoice, nowMs: number): Counting {
  const now = new Date(nowMs)
  const resetsAt = new Date(nowMs + LOCK_MS)
  const { strangers, known } = choice
  const chosen = (name: keyof Buckets) =>
    known
      ? Prisma.sql`CASE d.standing WHEN 'signed_in' THEN ${known.buckets.signed_in[name]}::text
          WHEN 'unlocked' THEN ${known.buckets.unlocked[name]}::text ELSE ${strangers[name]}::text END`
      : Prisma.sql`${strangers[name]}::text`
  const ctes = Prisma.sql`
    bucket AS MATERIALIZED (
      SELECT b.here, b.everywhere, ${keyIn(keys, Prisma.sql`b.here`)} AS account_here,
        ${keyIn(keys, Prisma.sql`b.everywhere`)} AS account_everywhere,
        set_config('synchronous_commit', 'off', true)
      FROM (SELECT ${chosen('here')} AS here, ${chosen('everywhere')} AS everywhere
        FROM (SELECT ${known ? known.standing : Prisma.sql`NULL`}::text AS standing) AS d) AS b
    ), counted_here AS (
      INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
      SELECT account_here, here, 1, ${resetsAt}::timestamptz, ${now}::timestamptz FROM bucket
      ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at,
        resets_at = EXCLUDED.resets_at,
        failures = CASE WHEN c.resets_at <= EXCLUDED.updated_at THEN 1 ELSE c.failures + 1 END
      WHERE c.failures < ${LOCK_FAILURES} OR c.resets_at <= EXCLUDED.updated_at
      RETURNING failures
    ), counted_everywhere AS (
      INSERT INTO guess_counters AS c (account, bucket, failures, updated_at)
      SELECT account_everywhere, everywhere, 1, ${now}::timestamptz FROM bucket, counted_here
      ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at, failures = c.failures + 1
      WHERE c.failures < ${LASTING_FAILURES}
      RETURNING failures
    )`
  const source = Prisma.sql`
    (SELECT FROM bucket) AS one LEFT JOIN (SELECT c.resets_at, c.updated_at FROM guess_counters c, bucket b
      WHERE c.account = b.account_here AND c.bucket = b.here) AS before ON TRUE`
  const columns = Prisma.sql`
    (SELECT here FROM bucket) AS bucket_here, (SELECT everywhere FROM bucket) AS bucket_everywhere,
    (SELECT account_here FROM bucket) AS account_here,
    (SELECT account_everywhere FROM bucket) AS account_everywhere,
    (SELECT failures FROM counted_here) AS here, (SELECT failures FROM counted_everywhere) AS everywhere,
    before.resets_at, before.updated_at AS counted_at`
  return { ctes, columns, source }
}

/** A guess that was counted. */
export interface CountedGuess {
  accounts: { here: AccountKey; everywhere: AccountKey }
  buckets: Buckets
  /** The failures of both counters, this guess included. */
  here: number
  everywhere: number
  /** Until when the first count held before this guess, if it did, and holds because of it. */
  resetsAt: { before: Date | null; now: Date }
}

/**
 * Common table expressions that take a right guess off both counters if a condition holds, in the order in which they are
 * raised. The first keeps the failures of others who guess from the same place, and the time at which it restarts. The
 * second counts failures in a row: those before this guess are taken off too.
 */
export const clearing = (
  { accounts, buckets, everywhere, resetsAt }: CountedGuess,
  condition: Prisma.Sql,
): Prisma.Sql => Prisma.sql`
  emptied_here AS (
    DELETE FROM guess_counters WHERE account = ${accounts.here} AND bucket = ${buckets.here} AND failures <= 1 AND ${condition}
    RETURNING 1
  ), lowered_here AS (
    UPDATE guess_counters SET failures = failures - 1,
      resets_at = CASE WHEN resets_at = ${resetsAt.now}::timestamptz
        THEN COALESCE(${resetsAt.before}::timestamptz, resets_at) ELSE resets_at END
    WHERE account = ${accounts.here} AND bucket = ${buckets.here} AND failures > 1 AND ${condition}
    RETURNING 1
  ), emptied_everywhere AS (
    DELETE FROM guess_counters WHERE account = ${accounts.everywhere} AND bucket = ${buckets.everywhere}
      AND failures <= ${everywhere}::int AND ${condition}
      AND (SELECT count(*) FROM emptied_here) + (SELECT count(*) FROM lowered_here) >= 0
    RETURNING 1
  ), lowered_everywhere AS (
    UPDATE guess_counters SET failures = failures - ${everywhere}::int
    WHERE account = ${accounts.everywhere} AND bucket = ${buckets.everywhere} AND failures > ${everywhere}::int AND ${condition}
      AND (SELECT count(*) FROM emptied_everywhere) >= 0
  )`

/** @throws `too_many_attempts` for a guess that a cap refused. `countedAt` in milliseconds since the epoch. */
export function requireCounted(row: CountRow, countedAt: number): CountedGuess {
  const { bucket_here, bucket_everywhere, here, everywhere, resets_at } = row
  const now = new Date(countedAt + LOCK_MS)
  if (here === null) {
    const waitMs = (resets_at ?? now).getTime() - countedAt
    const retryAfter = Math.max(1, Math.ceil(waitMs / 1000))
    throw new Problem('too_many_attempts', { reason: 'locked', detail: HERE, retryAfter })
  }
  if (everywhere === null) {
    const reason = 'locked_until_unlocked'
    throw new Problem('too_many_attempts', { reason, detail: EVERYWHERE, retryAfter: LASTING_RETRY_S })
  }
  const before = resets_at && resets_at.getTime() > countedAt ? resets_at : null
  const buckets = { here: bucket_here, everywhere: bucket_everywhere }
  const accounts = { here: row.account_here, everywhere: row.account_everywhere }
  return { accounts, buckets, here, everywhere, resetsAt: { before, now } }
}

const HERE =
  'Too many failed attempts from here. We e-mailed the owner of the account a link that unlocks it.'
const EVERYWHERE =
  'Too many failed attempts in a row. We e-mailed the owner of the account a link that unlocks it.'

/** SQL: the key of an account in one bucket, as when a guess is counted. */
export const keyInBucket = (keys: AccountKeys, bucket: string) => keyIn(keys, Prisma.sql`${bucket}`)

/** Deletes counters in the order in which they are raised, to avoid deadlocks, and returns their number. */
export async function forgetCounters(
  tx: Queryable,
  keys: AccountKeys,
  bucket: { startsWith: string } | { contains: string },
): Promise<number> {
  const account = { in: [...keys] }
  const lasting = { bucket: { endsWith: LASTING } }
  const first = await tx.guessCounter.deleteMany({ where: { account, bucket, NOT: lasting } })
  const last = await tx.guessCounter.deleteMany({ where: { account, bucket, AND: lasting } })
  return first.count + last.count
}
