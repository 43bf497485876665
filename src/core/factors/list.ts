import type { Queryable } from '../../platform/database.ts'

/** The second factors of one account. */
export interface AccountFactors {
  /** Whether an authenticator app is in use. */
  totp: boolean
  passkeys: number
  /** How many recovery codes are left. */
  recoveryCodes: number
}

/** Reads the factors of several accounts in one statement, because every sign-in needs them. */
export async function listFactors(
  db: Queryable,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, AccountFactors>> {
  const rows = await db.$queryRaw<(AccountFactors & { id: string })[]>`
    SELECT u.id,
      EXISTS (SELECT FROM totp_factors WHERE user_id = u.id AND confirmed_at IS NOT NULL) AS totp,
      (SELECT count(*)::int FROM passkeys WHERE user_id = u.id) AS passkeys,
      (SELECT count(*)::int FROM recovery_codes WHERE user_id = u.id) AS "recoveryCodes"
    FROM unnest(${[...userIds]}::uuid[]) AS u(id)`
  return new Map(rows.map(({ id, ...factors }) => [id, factors]))
}
