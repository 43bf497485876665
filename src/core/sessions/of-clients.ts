import type { Queryable } from '../../platform/database.ts'
import { type SessionEndedReason, toSessionEndedReason } from '../reasons/reasons.ts'
import { bytes } from './family-hash.ts'
import type { RefreshToken } from './rotation/token.ts'

/** How a third-party client uses what a user allowed it. */
export interface UseOfClient {
  lastUsedAt: Date
  /** Live sessions. */
  live: number
  /** Why the session that ended last has ended; null if none has. */
  lastEndedReason: SessionEndedReason | null
}

interface Row {
  clientId: string
  lastUsedAt: Date
  live: number
  reason: string | null
}

/** The sessions that clients have, or had within the last 30 days, for a user; by client. */
export async function usesOfClients(
  db: Queryable,
  userId: string,
  now: Date,
): Promise<ReadonlyMap<string, UseOfClient>> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT client_id AS "clientId", max(last_used_at) AS "lastUsedAt",
      count(*) FILTER (WHERE ended_at IS NULL AND LEAST(idle_expires_at, absolute_expires_at) > ${now})::int AS live,
      (array_agg(ended_reason ORDER BY ended_at DESC) FILTER (WHERE ended_at IS NOT NULL))[1] AS reason
    FROM sessions WHERE user_id = ${userId}::uuid AND resource IS NOT NULL GROUP BY client_id`
  return new Map(
    rows.map(({ clientId, lastUsedAt, live, reason }) => [
      clientId,
      { lastUsedAt, live, lastEndedReason: reason === null ? null : toSessionEndedReason(reason) },
    ]),
  )
}

/** Whether a refresh token is of a session of this client. */
export async function isOfClient(
  db: Queryable,
  { familyHash }: RefreshToken,
  clientId: string,
): Promise<boolean> {
  const where = { familyHash: bytes(familyHash), clientId, resource: { not: null } }
  return (await db.session.count({ where })) > 0
}
