import type { UserPrincipal } from '../../core/principals/principals.ts'
import type { Uses } from '../../core/uses.ts'

const ENDED_DAYS = 30

/**
 * A user's sessions, last used first: the live ones and, with `ended`, those that ended or expired within 30 days.
 * A session that expired before it was ended counts as expired.
 */
export async function listSessions(
  { db, sessions, clock }: Uses<'db' | 'sessions' | 'clock'>,
  { userId, sessionId }: UserPrincipal,
  ended: boolean,
) {
  const now = clock.now()
  const endedSince = ended ? new Date(now - ENDED_DAYS * 86_400_000) : undefined
  const rows = await sessions.list(db, userId, { now: new Date(now), endedSince })
  return rows.map((row) => {
    const expiresAt = new Date(Math.min(row.idleExpiresAt.getTime(), row.absoluteExpiresAt.getTime()))
    const endedFirst = row.endedAt !== null && row.endedAt <= expiresAt
    const expired = !endedFirst && expiresAt.getTime() <= now
    return {
      id: row.id,
      current: row.id === sessionId,
      transport: row.transport,
      user_agent: row.userAgent,
      ip: row.ip,
      created_at: row.createdAt.toISOString(),
      last_used_at: row.lastUsedAt.toISOString(),
      expires_at: expiresAt.toISOString(),
      ended_at: (expired ? expiresAt : row.endedAt)?.toISOString() ?? null,
      ended_reason: expired ? 'expired' : row.endedReason,
    }
  })
}
