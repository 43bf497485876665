import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

/** SQL: whether the user `u` has an authenticator app in use, or a passkey. */
export const HAS_SECOND_FACTOR = Prisma.sql`(
  EXISTS (SELECT FROM totp_factors t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
  OR EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id))`

/** Which factors of its own an account has; recovery codes only stand in for them. */
export async function listFactors(
  db: Queryable,
  userId: string,
): Promise<{ totp: boolean; passkeys: number }> {
  const totp = (await db.totpFactor.count({ where: { userId, confirmedAt: { not: null } } })) > 0
  return { totp, passkeys: await db.passkey.count({ where: { userId } }) }
}

export async function hasSecondFactor(db: Queryable, userId: string): Promise<boolean> {
  const [user] = await db.$queryRaw<{ has: boolean }[]>`
    SELECT ${HAS_SECOND_FACTOR} AS has FROM users u WHERE id = ${userId}::uuid`
  return user?.has ?? false
}
