import { cutPage, pageOf } from '../../http/cursor.ts'
import type { Database } from '../../platform/database.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * A page of a person's own security events, newest first. Pages continue from an event, not from a count:
 * whatever is recorded meanwhile neither repeats nor hides one.
 * @throws `validation_failed` when the cursor is none of this account's.
 */
export async function listActivity(
  db: Database,
  session: { sub: string; sid: string },
  query: { limit?: string; cursor?: string },
) {
  const { sub: userId, sid } = session
  const list = `activity:${userId}`
  const { limit, after } = pageOf(list, query)
  // The first bound is for the index on (userId, at); the second settles events of one millisecond.
  const older = after && { at: { lte: after.at }, OR: [{ at: { lt: after.at } }, { id: { lt: after.id } }] }
  const rows = await db.auditEvent.findMany({
    where: { userId, ...older },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    take: limit + 1,
  })
  const { page, next } = cutPage(list, rows, limit, (row) => row.at)
  return {
    events: page.map((row) => {
      const by = doer(row, userId)
      const byOther = by === 'administrator' || by === 'operator'
      return {
        id: row.id,
        at: row.at.toISOString(),
        type: row.type,
        outcome: row.outcome,
        reason: row.reason,
        by,
        session_id: row.sessionId,
        current: row.sessionId === sid,
        // Of somebody else, they would tell the owner of the account who that is.
        ip: byOther ? null : row.ip,
        user_agent: byOther ? null : row.userAgent,
      }
    }),
    next_cursor: next,
  }
}

/**
 * An actor is an administrator's id or names the command line. Without one it was the account itself if a session of it
 * did it, or began with it; else nobody knows who: a wrong password, an old token, a link that somebody followed.
 */
function doer({ actor, sessionId, outcome }: Done, userId: string) {
  if (actor === null) return sessionId !== null && outcome === 'success' ? ('you' as const) : null
  if (actor === userId) return 'you' as const
  return UUID.test(actor) ? ('administrator' as const) : ('operator' as const)
}

interface Done {
  actor: string | null
  sessionId: string | null
  outcome: string
}
