import type { Queryable } from '../../platform/database.ts'

/** A page of a user's links that have not expired, the earliest first. It holds no token. */
export function listPendingLinks(
  db: Queryable,
  userId: string,
  { now, after, take }: { now: Date; after: { id: string } | undefined; take: number },
) {
  return db.oneTimeToken.findMany({
    where: { userId, expiresAt: { gt: now }, ...(after ? { id: { gt: after.id } } : {}) },
    orderBy: { id: 'asc' },
    take,
    select: { id: true, purpose: true, newEmail: true, createdAt: true, expiresAt: true },
  })
}
