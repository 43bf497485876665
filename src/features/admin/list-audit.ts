import type { Audit, Origin } from '../../core/events/events.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'
import type { Database } from '../../platform/database.ts'

/**
 * A page of the audit trail, of everybody or of one account, newest first. Also of accounts that are gone.
 * @param query.limit of the page; a number as text.
 * @throws `validation_failed` when the cursor is none of this list's.
 */
export async function listAudit(
  { db, audit }: { db: Database; audit: Pick<Audit, 'record'> },
  query: { userId?: string | undefined; type?: string | undefined; limit?: string; cursor?: string },
  actor: string,
  origin: Origin,
) {
  const { userId, type } = query
  const list = `audit:${userId ?? ''}:${type ?? ''}`
  const { limit, after } = pageOf(list, query)
  const older = after && { at: { lte: after.at }, OR: [{ at: { lt: after.at } }, { id: { lt: after.id } }] }
  return db.$transaction(async (tx) => {
    const rows = await tx.auditEvent.findMany({
      where: { ...(userId ? { userId } : {}), ...(type ? { type } : {}), ...older },
      orderBy: [{ at: 'desc' }, { id: 'desc' }],
      take: limit + 1,
    })
    await audit.record(tx, { type: 'audit_read', outcome: 'success', userId, actor }, origin)
    const { page, next } = cutPage(list, rows, limit, (row) => row.at)
    const events = page.map((row) => ({
      id: row.id,
      at: row.at.toISOString(),
      type: row.type,
      outcome: row.outcome,
      reason: row.reason,
      user_id: row.userId,
      session_id: row.sessionId,
      actor: row.actor,
      ip: row.ip,
      user_agent: row.userAgent,
      request_id: row.requestId,
    }))
    return { events, next_cursor: next }
  })
}
