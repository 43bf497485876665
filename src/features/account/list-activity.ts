import type { StoredEvent } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import type { Uses } from '../../core/uses.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'

export type ListActivityUses = Uses<'db' | 'events'>

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * A page of a user's own security events, newest first.
 * @throws `validation_failed` when the cursor does not belong to this list.
 */
export async function listActivity(
  { db, events }: ListActivityUses,
  { userId, sessionId }: UserPrincipal,
  query: { limit?: string; cursor?: string },
) {
  const list = `activity:${userId}`
  const { limit, after } = pageOf(list, query)
  const rows = await events.list(db, { userId, after, take: limit + 1 })
  const { page, next } = cutPage(list, rows, limit, (row) => row.at)
  return { events: page.map((row) => present(row, userId, sessionId)), next_cursor: next }
}

function present(row: StoredEvent, userId: string, sessionId: string) {
  const by = actorOf(row, userId)
  const byOther = by === 'administrator' || by === 'operator'
  return {
    id: row.id,
    at: row.at.toISOString(),
    type: row.type,
    outcome: row.outcome,
    reason: row.reason,
    by,
    session_id: row.sessionId,
    current: row.sessionId === sessionId,
    // An administrator's address and user agent could reveal to the user who it is.
    ip: byOther ? null : row.ip,
    user_agent: byOther ? null : row.userAgent,
  }
}

/**
 * Who caused an event. An actor is an administrator's id or names the command line. Without one, it was the user if
 * the event has a session; otherwise nobody knows, as for a wrong password, an old token or a link that was followed.
 */
function actorOf({ actor, sessionId, outcome }: StoredEvent, userId: string) {
  if (actor === null) return sessionId !== null && outcome === 'success' ? ('you' as const) : null
  if (actor === userId) return 'you' as const
  return UUID.test(actor) ? ('administrator' as const) : ('operator' as const)
}
