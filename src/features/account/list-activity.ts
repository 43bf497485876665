import type { UserPrincipal } from '../../core/principals/principals.ts'
import type { Uses } from '../../core/uses.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'
import { presentEvent } from './present-event.ts'

export type ListActivityUses = Uses<'db' | 'events'>

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
  const shown = page.map((row) => ({ ...presentEvent(row, userId), current: row.sessionId === sessionId }))
  return { events: shown, next_cursor: next }
}
