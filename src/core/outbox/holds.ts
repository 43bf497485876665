import type { Database } from '../../platform/database.ts'
import { timestamp } from './rows.ts'

/**
 * While a kind is held, no node tries a message of it. The row stays when the hold is over, so that one message is tried
 * before the others, until something has been delivered.
 */
export interface Hold {
  /** Milliseconds since the epoch. */
  until: number
  /** False if the kind was held already. */
  isNew: boolean
}

/** The longest hold, in milliseconds, whatever the receiver asks for. */
const LONGEST_MS = 24 * 3_600_000
/** Seconds: the longest hold if the receiver asks for no time. It doubles from one second with every refusal in a row. */
const LONGEST_UNNAMED_S = 60

/** Holds a kind on every node for the time that the receiver asked for, or for a growing time. */
export async function hold(
  db: Database,
  kind: string,
  now: number,
  { reason, retryAfterMs = 0 }: { reason: string; retryAfterMs?: number | undefined },
): Promise<Hold> {
  const isNamed = retryAfterMs > 0
  const until = now + (isNamed ? Math.min(retryAfterMs, LONGEST_MS) : 1_000)
  const begin = () => db.$queryRaw<Hold[]>`
    INSERT INTO outbox_holds (kind, held_until, refusals, reason)
    VALUES (${kind}, ${timestamp(until)}, 1, ${reason})
    ON CONFLICT (kind) DO NOTHING
    RETURNING (extract(epoch FROM held_until) * 1000)::float8 AS until, TRUE AS "isNew"`
  // The lock makes `before` the newest row, so that of parallel refusals one begins a hold.
  const prolong = () => db.$queryRaw<Hold[]>`
    UPDATE outbox_holds AS held SET
      held_until = CASE
        WHEN ${isNamed} THEN greatest(held.held_until, ${timestamp(until)})
        WHEN before.is_active THEN held.held_until
        ELSE ${timestamp(now)} + least(${LONGEST_UNNAMED_S}, power(2, held.refusals)) * interval '1 second'
      END,
      refusals = CASE WHEN before.is_active THEN held.refusals ELSE least(held.refusals + 1, 30) END,
      reason = ${reason}
    FROM (
      SELECT held_until > ${timestamp(now)} AS is_active FROM outbox_holds WHERE kind = ${kind} FOR UPDATE
    ) AS before
    WHERE held.kind = ${kind}
    RETURNING (extract(epoch FROM held_until) * 1000)::float8 AS until, NOT before.is_active AS "isNew"`
  for (;;) {
    const held = (await begin())[0] ?? (await prolong())[0]
    // Neither, if the hold ended in between.
    if (held) return held
  }
}

/** Forgets a hold that is over, because something has been delivered since. */
export async function endHold(db: Database, kind: string, now: number): Promise<void> {
  await db.outboxHold.deleteMany({ where: { kind, heldUntil: { lte: new Date(now) } } })
}

/** Ends a hold early. True if the kind was held. */
export async function liftHold(db: Database, kind: string, now: number): Promise<boolean> {
  const { count } = await db.outboxHold.deleteMany({ where: { kind, heldUntil: { gt: new Date(now) } } })
  return count > 0
}
