import type { Database } from '../../platform/database.ts'

const ENDED_DAYS = 30

/** A person's sessions, last used first: the live ones, and with `ended` those ended within 30 days. */
export async function listSessions(
  db: Database,
  userId: string,
  currentId: string,
  ended: boolean,
  now: number,
) {
  const since = new Date(now - ENDED_DAYS * 86_400_000)
  const live = {
    endedAt: null,
    idleExpiresAt: { gt: new Date(now) },
    absoluteExpiresAt: { gt: new Date(now) },
  }
  const rows = await db.session.findMany({
    where: { userId, OR: ended ? [live, { endedAt: { gt: since } }] : [live] },
    orderBy: { lastUsedAt: 'desc' },
    take: 500,
  })
  return rows.map((row) => ({
    id: row.id,
    current: row.id === currentId,
    transport: row.transport,
    user_agent: row.userAgent,
    ip: row.ip,
    created_at: row.createdAt.toISOString(),
    last_used_at: row.lastUsedAt.toISOString(),
    expires_at: row.idleExpiresAt.toISOString(),
    ended_at: row.endedAt?.toISOString() ?? null,
    ended_reason: row.endedReason,
  }))
}
