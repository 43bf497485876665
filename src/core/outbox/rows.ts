import type { Database } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import { withTimeout } from '../../platform/timeout.ts'

/** A message whose lease this worker holds. */
export interface ClaimedMessage {
  id: string
  topic: string
  recipient: string
  sealed: Uint8Array
  /** The number of attempts, including this one, without those that were held. */
  attempts: number
  /** Milliseconds since the epoch, as are those below. */
  createdAt: number
  /** Null in a row of the previous release. */
  expiresAt: number | null
  /** The end of the lease. With `attempts` it tells this claim from every other. */
  leaseEndsAt: number
  /** Whether the kind was held before this claim, and nothing has been delivered since. */
  afterHold: boolean
}

/** How long a claimed message is hidden from other workers, in milliseconds. */
export const LEASE_MS = 60_000

export const timestamp = (ms: number) => Prisma.sql`${new Date(ms).toISOString()}::timestamptz`

/** SQL: neither sent nor given up. */
export const IS_WAITING = Prisma.sql`sent_at IS NULL AND gave_up_at IS NULL`

const isDue = (now: number) => Prisma.sql`
  ${IS_WAITING} AND next_attempt_at <= ${timestamp(now)} AND (expires_at IS NULL OR expires_at > ${timestamp(now)})`

/** SQL: whether a message of these kinds is due and its kind is not held. A held kind's messages are not read. */
export const hasDue = (kinds: readonly string[], now: number) => Prisma.sql`EXISTS (
  SELECT FROM unnest(${[...kinds]}::text[]) AS asked(name)
  WHERE CASE
    WHEN EXISTS (SELECT FROM outbox_holds WHERE kind = asked.name AND held_until > ${timestamp(now)}) THEN FALSE
    ELSE EXISTS (SELECT FROM outbox_messages WHERE ${isDue(now)} AND kind = asked.name)
  END)`

const AGE_MS = 1_000
const AGE_ROWS = 1_000

/** How long the oldest message of a kind has waited since it was allowed to leave, in seconds. */
interface LongestWait {
  kind: string
  seconds: number
}

/**
 * The longest wait of each kind, among the next messages: not among all, of which there may be millions. Undefined if
 * Postgres does not say.
 */
export async function longestWaits(db: Database, now: number): Promise<LongestWait[] | undefined> {
  const asked = db.$queryRaw<LongestWait[]>`
    SELECT kind, extract(epoch FROM ${timestamp(now)} - min(coalesce(scheduled_at, created_at)))::float8 AS seconds FROM (
      SELECT kind, scheduled_at, created_at FROM outbox_messages
      WHERE ${IS_WAITING} ORDER BY next_attempt_at LIMIT ${AGE_ROWS}
    ) AS next GROUP BY kind`
  return withTimeout(AGE_MS, asked, 'timed out').catch(() => undefined)
}

/**
 * Claims up to `limit` due messages of a kind, longest due first, by postponing them for the length of a lease. If a
 * worker dies, its messages become due again, and no row stays locked during a delivery. None while the kind is held;
 * one after that, until something has been delivered.
 */
export async function claimDue(
  db: Database,
  kind: string,
  now: number,
  limit: number,
): Promise<ClaimedMessage[]> {
  const leaseEndsAt = now + LEASE_MS
  const claimed = await db.$queryRaw<Omit<ClaimedMessage, 'leaseEndsAt'>[]>`
    WITH hold AS MATERIALIZED (
      SELECT held_until > ${timestamp(now)} AS is_active FROM outbox_holds WHERE kind = ${kind}
    ), due AS MATERIALIZED (
      SELECT id FROM outbox_messages
      WHERE ${isDue(now)} AND kind = ${kind} AND NOT EXISTS (SELECT FROM hold WHERE is_active)
      ORDER BY next_attempt_at
      LIMIT CASE WHEN EXISTS (SELECT FROM hold) THEN 1 ELSE ${limit}::int END
      FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox_messages AS message
    SET next_attempt_at = ${timestamp(leaseEndsAt)}, attempts = message.attempts + 1
    FROM due WHERE message.id = due.id
    RETURNING message.id::text AS id, template AS topic, recipient, sealed, attempts,
      (extract(epoch FROM created_at) * 1000)::float8 AS "createdAt",
      (extract(epoch FROM expires_at) * 1000)::float8 AS "expiresAt",
      EXISTS (SELECT FROM hold) AS "afterHold"`
  return claimed.map((message) => ({ ...message, leaseEndsAt }))
}

/** Also after the lease has expired: a worker that has claimed the message since must not deliver it again. */
export async function markSent(db: Database, { id }: ClaimedMessage, now: number): Promise<void> {
  await db.outboxMessage.updateMany({
    where: { id, sentAt: null },
    data: { sentAt: new Date(now), gaveUpAt: null, lastError: null, sealed: new Uint8Array() },
  })
}

/** Does nothing if another worker has claimed the message since. */
export async function postpone(
  db: Database,
  message: ClaimedMessage,
  until: number,
  lastError: string,
): Promise<void> {
  const data = { nextAttemptAt: new Date(until), lastError }
  await db.outboxMessage.updateMany({ where: leased(message), data })
}

/** Ends the claim of a message as if it had not been tried. Does nothing if another worker has claimed it since. */
export async function putBack(
  db: Database,
  message: ClaimedMessage,
  now: number,
  lastError: string,
): Promise<void> {
  const data = { nextAttemptAt: new Date(now), attempts: message.attempts - 1, lastError }
  await db.outboxMessage.updateMany({ where: leased(message), data })
}

/** False when another worker has claimed the message since, or it has been delivered. */
export async function giveUp(
  db: Database,
  message: ClaimedMessage,
  now: number,
  lastError: string,
): Promise<boolean> {
  const data = { gaveUpAt: new Date(now), lastError, sealed: new Uint8Array() }
  return (await db.outboxMessage.updateMany({ where: leased(message), data })).count > 0
}

const leased = ({ id, attempts, leaseEndsAt }: ClaimedMessage) => ({
  id,
  attempts,
  nextAttemptAt: new Date(leaseEndsAt),
  sentAt: null,
  gaveUpAt: null,
})
