import type { Queryable } from '../../platform/database.ts'
import type { AuditEvent as StoredEvent } from '../../platform/generated/client.ts'

export interface EventQuery {
  userId?: string | undefined
  type?: string | undefined
  /** Only events up to this time. */
  until?: Date | undefined
  /** The last event of the previous page. */
  after: { at: Date; id: string } | undefined
  /** The maximum number of events. */
  take: number
}

/**
 * Events, newest first. A page continues after an event, not at an offset, so that events recorded in the meantime
 * neither repeat nor hide others.
 */
export function listEvents(
  db: Queryable,
  { userId, type, until, after, take }: EventQuery,
): Promise<StoredEvent[]> {
  // The first bound uses the index on the time; the second orders the events of one millisecond.
  const older = after
    ? { at: { lte: after.at }, OR: [{ at: { lt: after.at } }, { id: { lt: after.id } }] }
    : until && { at: { lte: until } }
  return db.auditEvent.findMany({
    where: { ...(userId ? { userId } : {}), ...(type ? { type } : {}), ...older },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    take,
  })
}
