import type { Queryable } from '../../../platform/database.ts'
import { parseUrl } from '../../../platform/parse-url.ts'
import { sha256 } from '../../../platform/sha256.ts'
import type { Transaction } from '../../../platform/transact.ts'
import { isUrl } from './document-url.ts'

/** A client, or a host of clients, that the operator refuses. */
export interface BlockedClient {
  name: string
  createdAt: Date
}

/** The host of a client id that is a URL, whatever the port. */
const hostOf = (id: string) => parseUrl(id)?.hostname ?? null

/** Whether a client is refused: by its id, or by its host. */
export async function isBlocked(db: Queryable, id: string): Promise<boolean> {
  const host = isUrl(id) ? hostOf(id) : null
  const names = host ? [id, host] : [id]
  return (await db.blockedClient.count({ where: { hash: { in: names.map(sha256) } } })) > 0
}

/** False if it is blocked already. */
export async function block(tx: Transaction, now: Date, name: string): Promise<boolean> {
  const data = [{ hash: sha256(name), name, createdAt: now }]
  return (await tx.blockedClient.createMany({ data, skipDuplicates: true })).count > 0
}

/** False if it is not blocked. */
export const unblock = async (tx: Transaction, name: string): Promise<boolean> =>
  (await tx.blockedClient.deleteMany({ where: { hash: sha256(name) } })).count > 0

/** The oldest first. */
export const listBlocked = (db: Queryable): Promise<BlockedClient[]> =>
  db.blockedClient.findMany({ select: { name: true, createdAt: true }, orderBy: { createdAt: 'asc' } })
