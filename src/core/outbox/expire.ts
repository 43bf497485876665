import type { Database } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import { IS_WAITING, LEASE_MS, timestamp } from './rows.ts'

/** A message that was given up because its time had ended. */
export interface ExpiredMessage {
  id: string
  kind: string
  topic: string
  attempts: number
  lastError: string
}

// A message may be in delivery while its lease lasts: it is left until the lease has ended.
const hasExpiredAt = (kinds: readonly string[], now: number) => Prisma.sql`
  ${IS_WAITING} AND expires_at <= ${timestamp(now)} AND kind = ANY(${[...kinds]})
    AND (attempts = 0 OR next_attempt_at <= ${timestamp(now)} OR next_attempt_at > ${timestamp(now + LEASE_MS)})`

/** SQL: whether the time of a waiting message of these kinds has ended. */
export const hasExpired = (kinds: readonly string[], now: number) => Prisma.sql`EXISTS (
  SELECT FROM outbox_messages WHERE ${hasExpiredAt(kinds, now)})`

/** Gives up every message that was queued until a time and waits. @returns how many. */
export function giveUpQueued(tx: Transaction, until: Date, reason: string): Promise<number> {
  return tx.$executeRaw`
    UPDATE outbox_messages SET gave_up_at = now(), sealed = '', last_error = ${reason}
    WHERE ${IS_WAITING} AND created_at <= ${until}`
}

/** Gives up to `limit` messages up whose time has ended, whatever they wait for. */
export function giveUpExpired(
  db: Database,
  kinds: readonly string[],
  now: number,
  limit: number,
): Promise<ExpiredMessage[]> {
  return db.$queryRaw<ExpiredMessage[]>`
    UPDATE outbox_messages
    SET gave_up_at = ${timestamp(now)}, sealed = '',
      last_error = left('expired' || coalesce('; before: ' || last_error, ''), 200)
    WHERE id = ANY (ARRAY(
      SELECT id FROM outbox_messages WHERE ${hasExpiredAt(kinds, now)}
      ORDER BY expires_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
    ))
    RETURNING id::text AS id, kind, template AS topic, attempts, last_error AS "lastError"`
}
