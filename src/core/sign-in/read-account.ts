import type { Query } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { Counted, Counting } from '../lockout/lockout.ts'
import { selectByEmail, type User } from '../users/users.ts'
import { type DeviceToken, isKnownTo } from './devices.ts'

/** An account as a sign-in begins. */
export interface ReadAccount extends Counted {
  user: User | null
}

// Queried for unknown addresses too: skipping the query would reveal them.
const NOBODY = Prisma.sql`'00000000-0000-0000-0000-000000000000'::uuid`
const userId = Prisma.sql`COALESCE((SELECT id FROM account), ${NOBODY})`

/** SQL: whether the account that {@link readAccount} looks up knows a device. */
export const IS_KNOWN = Prisma.sql`(SELECT is_known FROM presented)`

/** Finds the user with a canonical address, whether it knows the device, and counts a guess: in one statement. */
export async function readAccount(
  query: Query,
  email: string,
  device: DeviceToken,
  { ctes, columns }: Counting,
): Promise<ReadAccount> {
  const isKnown = device.isNew ? Prisma.sql`FALSE` : isKnownTo(userId, device)
  const [row] = await query<Counted['count'] & { is_known: boolean } & (User | { id: null })>(Prisma.sql`
    WITH account AS MATERIALIZED (${selectByEmail(email)}),
    presented AS MATERIALIZED (SELECT ${isKnown} AS is_known),
    ${ctes}
    SELECT ${columns}, is_known, account.* FROM presented LEFT JOIN account ON TRUE`)
  if (!row) throw new Error('a guess was not counted')
  const { here, everywhere, resets_at, is_known, ...account } = row
  const user = account.id === null ? null : (account as User)
  return { count: { here, everywhere, resets_at }, owner: user?.id, isKnown: is_known, user }
}
