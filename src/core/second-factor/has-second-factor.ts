import type { Queryable } from '../../platform/database.ts'

/** Whether the account has an authenticator app that is confirmed, or a passkey. */
export async function hasSecondFactor(db: Queryable, userId: string): Promise<boolean> {
  const [answer] = await db.$queryRaw<{ has: boolean }[]>`
    SELECT EXISTS (SELECT FROM totp_factors WHERE user_id = ${userId}::uuid AND confirmed_at IS NOT NULL)
      OR EXISTS (SELECT FROM passkeys WHERE user_id = ${userId}::uuid) AS has`
  return answer?.has === true
}
