import type { Database, Queryable } from '../../platform/database.ts'
import { type FactorReset, Prisma } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'

/** The pending removals of several accounts, by user id. */
export async function listFactorResets(
  db: Queryable,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, FactorReset>> {
  const rows = await db.factorReset.findMany({ where: { userId: { in: [...userIds] } } })
  return new Map(rows.map((row) => [row.userId, row]))
}

/** Withdraws the removals that were asked for until a time, without a word to their owners. @returns how many. */
export async function withdrawUntil(tx: Transaction, until: Date): Promise<number> {
  const { count } = await tx.factorReset.deleteMany({ where: { requestedAt: { lte: until } } })
  return count
}

/** SQL: whether a removal is due. */
export const hasDueResets = (now: number) => Prisma.sql`EXISTS (
  SELECT FROM factor_resets WHERE effective_at <= ${new Date(now).toISOString()}::timestamptz)`

/** The users whose removals are due, longest due first, without those that are named. */
export async function listDue(
  db: Database,
  now: number,
  { except, take }: { except: readonly string[]; take: number },
): Promise<string[]> {
  const rows = await db.factorReset.findMany({
    where: { effectiveAt: { lte: new Date(now) }, userId: { notIn: [...except] } },
    orderBy: { effectiveAt: 'asc' },
    select: { userId: true },
    take,
  })
  return rows.map(({ userId }) => userId)
}
