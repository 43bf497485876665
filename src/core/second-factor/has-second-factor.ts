import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

/** SQL: whether the user `u` has an authenticator app in use, or a passkey. */
export const HAS_SECOND_FACTOR = Prisma.sql`(
  EXISTS (SELECT FROM totp_factors t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
  OR EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id))`

export async function hasSecondFactor(db: Queryable, userId: string): Promise<boolean> {
  const [user] = await db.$queryRaw<{ has: boolean }[]>`
    SELECT ${HAS_SECOND_FACTOR} AS has FROM users u WHERE id = ${userId}::uuid`
  return user?.has ?? false
}
