import type { Database } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'

/**
 * A page of a person's own security events, newest first. Pages continue from an event, not from a count:
 * whatever is recorded meanwhile neither repeats nor hides one.
 * @throws `validation_failed` when `cursor` is none of this account's.
 */
export async function listActivity(
  db: Database,
  session: { sub: string; sid: string },
  limit: number,
  cursor: string | undefined,
) {
  const { sub: userId, sid } = session
  const after = cursor === undefined ? undefined : decodeCursor(userId, cursor)
  if (after === null) {
    throw new Problem('validation_failed', {
      errors: [{ pointer: '/cursor', detail: 'is not a cursor of this list' }],
    })
  }
  // The first bound is for the index on (userId, at); the second settles events of one millisecond.
  const older = after && { at: { lte: after.at }, OR: [{ at: { lt: after.at } }, { id: { lt: after.id } }] }
  const rows = await db.auditEvent.findMany({
    where: { userId, ...older },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    take: limit + 1,
  })
  const page = rows.slice(0, limit)
  const last = rows.length > limit ? page.at(-1) : undefined
  return {
    events: page.map((row) => ({
      id: row.id,
      at: row.at.toISOString(),
      type: row.type,
      outcome: row.outcome,
      reason: row.reason,
      session_id: row.sessionId,
      current: row.sessionId === sid,
      ip: row.ip,
      user_agent: row.userAgent,
    })),
    next_cursor: last ? encodeCursor(userId, last) : null,
  }
}
