import type { Queryable } from '../../platform/database.ts'
import type { AuditEvent as StoredEvent } from '../../platform/generated/client.ts'

export interface EventQuery {
  userId?: string | undefined
  type?: string | undefined
  /** The last event of the page before. */
  after: { at: Date; id: string } | undefined
  /** How many events at most. */
  take: number
}

/**
 * Events newest first. A page continues from an event, not from a count: what is recorded meanwhile neither repeats nor
 * hides one.
 */
export function listEvents(db: Queryable, { userId, type, after, take }: EventQuery): Promise<StoredEvent[]> {
  // The first bound is for the index on the time; the second settles events of one millisecond.
  const older = after && { at: { lte: after.at }, OR: [{ at: { lt: after.at } }, { id: { lt: after.id } }] }
  return db.auditEvent.findMany({
    where: { ...(userId ? { userId } : {}), ...(type ? { type } : {}), ...older },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    take,
  })
}
