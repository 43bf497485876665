import type { Queryable } from '../../platform/database.ts'
import { UNUSUAL_ADDRESS } from '../../platform/email-address.ts'
import { Prisma, type User } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'

/** A user by its address as it is stored. */
export type StoredAddress = Pick<User, 'id' | 'email'>

const UNUSUAL = Prisma.raw(`(email COLLATE "C") ~ '${UNUSUAL_ADDRESS}'`)

/**
 * A page of the users whose address may not be canonical, in the order of their ids. An index holds only these, so it
 * costs next to nothing to find none.
 */
export const listUnusual = (
  db: Queryable,
  after: string | undefined,
  take: number,
): Promise<StoredAddress[]> =>
  db.$queryRaw<StoredAddress[]>`
    SELECT id, email FROM users WHERE ${UNUSUAL}
      ${after === undefined ? Prisma.empty : Prisma.sql`AND id > ${after}::uuid`}
    ORDER BY id LIMIT ${take}::int`

/**
 * Stores another spelling of a user's address. If another user has that spelling, it gets this user's in exchange. Both
 * must be locked. @throws Prisma's P2002 when somebody else has the spelling.
 */
export async function respellAddress(
  tx: Transaction,
  user: StoredAddress,
  spelling: string,
  holder: StoredAddress | undefined,
): Promise<void> {
  const store = (id: string, email: string) => tx.user.update({ where: { id }, data: { email } })
  // Its id for a moment, which is no address: no two users can have the same.
  if (holder) await store(holder.id, holder.id)
  await store(user.id, spelling)
  if (holder) await store(holder.id, user.email)
}
