import type { Queryable } from '../../platform/database.ts'
import type { Transaction } from '../../platform/transact.ts'

/** A position in a list that is sorted by time and, within a millisecond, by id. */
export interface Position {
  at: Date
  id: string
}

/** A client with everything that belongs to it, also while it is disabled. */
export type RegisteredClient = NonNullable<Awaited<ReturnType<typeof findClient>>>

const INCLUDED = {
  secrets: { orderBy: { createdAt: 'asc' } },
  resources: { orderBy: { resourceIdentifier: 'asc' } },
  serves: { orderBy: { identifier: 'asc' } },
} as const

export const findClient = (db: Queryable, id: string) =>
  db.client.findUnique({ where: { id }, include: INCLUDED })

/** The same, and nobody else changes it until the end of the transaction. */
export async function lockClient(tx: Transaction, id: string): Promise<RegisteredClient | null> {
  await tx.$queryRaw`SELECT 1 FROM clients WHERE id = ${id} FOR UPDATE`
  return findClient(tx, id)
}

/** Every client, the oldest first. */
export const listClients = (db: Queryable) =>
  db.client.findMany({ orderBy: [{ createdAt: 'asc' }, { id: 'asc' }], include: INCLUDED })

/** Clients after a position, the newest first. */
export const clientsAfter = (db: Queryable, after: Position | undefined, take: number) =>
  db.client.findMany({
    ...(after
      ? { where: { OR: [{ createdAt: { lt: after.at } }, { createdAt: after.at, id: { lt: after.id } }] } }
      : {}),
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    include: INCLUDED,
    take,
  })
