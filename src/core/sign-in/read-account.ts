import type { Query } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { Counted, Counting, CountRow, DeviceStanding } from '../lockout/lockout.ts'
import { selectByEmail, type User } from '../users/users.ts'
import { type DeviceToken, standingWith } from './devices.ts'

/** An account as a sign-in begins. */
export interface ReadAccount extends Counted {
  user: User | null
  /** Whether the device has signed in to it before. */
  isKnown: boolean
}

// Queried for unknown addresses too: skipping the query would reveal them.
const NOBODY = Prisma.sql`'00000000-0000-0000-0000-000000000000'::uuid`
const userId = Prisma.sql`COALESCE((SELECT id FROM account), ${NOBODY})`

/** SQL: the standing of the device with the account that {@link readAccount} looks up, or null. */
export const STANDING = Prisma.sql`(SELECT standing FROM presented)`

/** Finds the user with a canonical address, how it knows the device, and counts a guess: in one statement. */
export async function readAccount(
  query: Query,
  email: string,
  device: DeviceToken,
  { ctes, columns, source }: Counting,
): Promise<ReadAccount> {
  const standing = device.isNew ? Prisma.sql`NULL` : standingWith(userId, device)
  const [row] = await query<
    CountRow & { standing: DeviceStanding | null } & (User | { id: null })
  >(Prisma.sql`
    WITH account AS MATERIALIZED (${selectByEmail(email)}),
    presented AS MATERIALIZED (SELECT ${standing}::text AS standing),
    ${ctes}
    SELECT ${columns}, standing, account.* FROM presented, ${source} LEFT JOIN account ON TRUE`)
  if (!row) throw new Error('a guess was not counted')
  const { bucket_here, bucket_everywhere, account_here, account_everywhere, ...others } = row
  const { here, everywhere, resets_at, counted_at, ...rest } = others
  const counters = { bucket_here, bucket_everywhere, account_here, account_everywhere }
  const count = { ...counters, here, everywhere, resets_at, counted_at }
  const { standing: known, ...account } = rest
  const user = account.id === null ? null : (account as User)
  return { count, owner: user?.id, isKnown: known === 'signed_in', user }
}
