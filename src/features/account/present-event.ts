import type { StoredEvent } from '../../core/events/events.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A security event as its account's owner sees it. */
export function presentEvent(row: StoredEvent, userId: string) {
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
    client_id: row.clientId,
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
