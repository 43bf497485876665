import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

/** The second factors of one account. */
export interface AccountFactors {
  /** Whether an authenticator app is in use. */
  totp: boolean
  passkeys: number
  /** How many recovery codes are left. */
  recoveryCodes: number
}

/** SQL: the select list of {@link AccountFactors}. */
const factorsOf = (userId: Prisma.Sql) => Prisma.sql`
  EXISTS (SELECT FROM totp_factors WHERE user_id = ${userId} AND confirmed_at IS NOT NULL) AS totp,
  (SELECT count(*)::int FROM passkeys WHERE user_id = ${userId}) AS passkeys,
  (SELECT count(*)::int FROM recovery_codes WHERE user_id = ${userId}) AS "recoveryCodes"`

/** SQL that reads a user's factors, and as `has_second_factor` what `hasSecondFactor` says of them. */
export const selectFactors = (userId: Prisma.Sql) => Prisma.sql`
  SELECT *, totp OR passkeys > 0 AS has_second_factor FROM (SELECT ${factorsOf(userId)}) AS factors`

/** Reads the factors of several accounts in one statement, because every sign-in needs them. */
export async function listFactors(
  db: Queryable,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, AccountFactors>> {
  const rows = await db.$queryRaw<(AccountFactors & { id: string })[]>`
    SELECT u.id, ${factorsOf(Prisma.sql`u.id`)}
    FROM unnest(${[...userIds]}::uuid[]) AS u(id)`
  return new Map(rows.map(({ id, ...factors }) => [id, factors]))
}

/** What is kept of a user's factors, but for secrets and keys. */
export async function describeFactors(db: Queryable, userId: string) {
  const totp = await db.totpFactor.findUnique({
    where: { userId },
    select: { createdAt: true, confirmedAt: true, lastStep: true },
  })
  const passkeys = await db.passkey.findMany({
    where: { userId },
    orderBy: { id: 'asc' },
    omit: { userId: true, publicKey: true },
  })
  const codes = await db.recoveryCode.aggregate({
    where: { userId },
    _count: true,
    _max: { createdAt: true },
  })
  return { totp, passkeys, recoveryCodes: { left: codes._count, createdAt: codes._max.createdAt } }
}
