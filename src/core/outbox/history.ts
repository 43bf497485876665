import type { Queryable } from '../../platform/database.ts'

/** Messages of one kind to a recipient that were queued between two times, newest first, without their content. */
export function listMessages(
  db: Queryable,
  of: { kind: string; recipient: string; since: Date; until: Date },
  { after, take }: { after: { createdAt: Date; id: string } | undefined; take: number },
) {
  const { kind, recipient, since, until } = of
  // The first bound uses the index on the time; the second orders the messages of one millisecond.
  const older = after && {
    OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }],
  }
  return db.outboxMessage.findMany({
    where: { kind, recipient, createdAt: { gte: since, lte: after?.createdAt ?? until }, ...older },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take,
    select: {
      id: true,
      topic: true,
      attempts: true,
      createdAt: true,
      nextAttemptAt: true,
      sentAt: true,
      gaveUpAt: true,
    },
  })
}
