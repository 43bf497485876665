import type { RequestContext } from '../../core/events/events.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'
import type { AdminUses } from './change-account.ts'

/**
 * A page of the audit events of all accounts or of one, newest first. Deleted accounts are included.
 * @param query.limit the size of the page; a number as text.
 * @throws `validation_failed` when the cursor does not belong to this list.
 */
export async function listAudit(
  { transact, events }: Pick<AdminUses, 'transact' | 'events'>,
  query: { userId?: string | undefined; type?: string | undefined; limit?: string; cursor?: string },
  actor: string,
  context: RequestContext,
) {
  const { userId, type } = query
  const list = `audit:${userId ?? ''}:${type ?? ''}`
  const { limit, after } = pageOf(list, query)
  return transact(async (tx) => {
    const rows = await events.list(tx, { userId, type, after, take: limit + 1 })
    await events.record(tx, { type: 'audit_read', outcome: 'success', userId, actor }, context)
    const { page, next } = cutPage(list, rows, limit, (row) => row.at)
    const shown = page.map((row) => ({
      id: row.id,
      at: row.at.toISOString(),
      type: row.type,
      outcome: row.outcome,
      reason: row.reason,
      user_id: row.userId,
      session_id: row.sessionId,
      client_id: row.clientId,
      resource: row.resource,
      actor: row.actor,
      ip: row.ip,
      user_agent: row.userAgent,
      request_id: row.requestId,
      count: row.count,
    }))
    return { events: shown, next_cursor: next }
  })
}
