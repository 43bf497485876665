import type { Database } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

/** A message whose lease this worker holds. */
export interface ClaimedMessage {
  id: string
  kind: string
  topic: string
  recipient: string
  sealed: Uint8Array
  /** The number of attempts, including this one. */
  attempts: number
  /** Milliseconds since the epoch. */
  createdAt: number
}

/** How long a claimed message is hidden from other workers, in milliseconds. */
export const LEASE_MS = 60_000

/** SQL: whether a message of these kinds is due. */
export const hasDue = (kinds: readonly string[], now: number) => Prisma.sql`EXISTS (
  SELECT FROM outbox_messages WHERE ${isDue(kinds, now)})`

const isDue = (kinds: readonly string[], now: number) => Prisma.sql`
  sent_at IS NULL AND gave_up_at IS NULL AND next_attempt_at <= ${timestamp(now)}::timestamptz
    AND kind = ANY(${[...kinds]})`

/**
 * Claims up to `limit` due messages of these kinds, longest due first, by postponing them for the length of a lease.
 * If a worker dies, its messages become due again, and no row stays locked during a delivery.
 */
export function claimDue(
  db: Database,
  kinds: readonly string[],
  now: number,
  limit: number,
): Promise<ClaimedMessage[]> {
  return db.$queryRaw<ClaimedMessage[]>`
    WITH due AS MATERIALIZED (
      SELECT id FROM outbox_messages WHERE ${isDue(kinds, now)}
      ORDER BY next_attempt_at
      LIMIT ${limit}::int
      FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox_messages AS message
    SET next_attempt_at = ${timestamp(now + LEASE_MS)}::timestamptz, attempts = message.attempts + 1
    FROM due WHERE message.id = due.id
    RETURNING message.id::text AS id, kind, template AS topic, recipient, sealed, attempts,
      (extract(epoch FROM created_at) * 1000)::float8 AS "createdAt"`
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
  await db.outboxMessage.updateMany({
    where: held(message),
    data: { nextAttemptAt: new Date(until), lastError },
  })
}

/** False when another worker has claimed the message since, or it has been delivered. */
export async function giveUp(
  db: Database,
  message: ClaimedMessage,
  now: number,
  lastError: string,
): Promise<boolean> {
  const data = { gaveUpAt: new Date(now), lastError, sealed: new Uint8Array() }
  return (await db.outboxMessage.updateMany({ where: held(message), data })).count > 0
}

const held = ({ id, attempts }: ClaimedMessage) => ({ id, attempts, sentAt: null, gaveUpAt: null })

const timestamp = (ms: number) => new Date(ms).toISOString()
