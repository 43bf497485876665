import { createHash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

export type OneTimePurpose = 'verify_email' | 'reset_password' | 'unlock' | 'change_email'

/** Seconds a link in a mail works. */
export const ONE_TIME_TTL: Record<OneTimePurpose, number> = {
  verify_email: 24 * 3600,
  reset_password: 3600,
  unlock: 3600,
  change_email: 3600,
}

/** Links in mail: 256 random bits, stored hashed, good for one success. Issuing and consuming lock the user first. */
export interface OneTimeTokens {
  /** A new token, for a change of address with the canonical one it leads to; null when the user is gone or disabled. */
  issue(tx: Queryable, purpose: OneTimePurpose, userId: string, newEmail?: string): Promise<string | null>
  /** What a token is good for, without using it up; null when `consume` would refuse it. */
  find(db: Queryable, purpose: OneTimePurpose, token: string): Promise<FoundToken | null>
  /** Takes the token and names its user; null when it is wrong, used, expired or void. */
  consume(tx: Queryable, purpose: OneTimePurpose, token: string): Promise<string | null>
}

export interface FoundToken {
  userId: string
  /** The address of the account. */
  email: string
  /** The address the token leads to, if it is for a change. */
  newEmail: string | null
}

export function createOneTimeTokens(clock: Clock): OneTimeTokens {
  async function find(db: Queryable, purpose: OneTimePurpose, tokenHash: Uint8Array, lock = Prisma.empty) {
    // A verification is bound to its registration; a reset link proves the mailbox whoever registered it.
    // A change of address is bound to the password it was asked for with, and an administrator's doubts void it.
    const [found] = await db.$queryRaw<FoundToken[]>`
      SELECT u.id AS "userId", u.email, t.new_email AS "newEmail"
      FROM users u JOIN one_time_tokens t ON t.user_id = u.id
      WHERE t.token_hash = ${tokenHash} AND t.purpose = ${purpose} AND t.expires_at > ${new Date(clock.now())}
        AND (t.purpose NOT IN ('verify_email', 'change_email') OR u.password_version = t.password_version)
        AND (t.purpose <> 'change_email' OR u.reset_required_at IS NULL) AND u.disabled_at IS NULL ${lock}`
    return found ?? null
  }

  return {
    async issue(tx, purpose, userId, newEmail) {
      const [user] = await tx.$queryRaw<{ password_version: number }[]>`
        SELECT password_version FROM users WHERE id = ${userId}::uuid AND disabled_at IS NULL FOR UPDATE`
      if (!user) return null
      const token = randomBytes(32).toString('base64url')
      const now = clock.now()
      await tx.oneTimeToken.deleteMany({ where: { userId, expiresAt: { lt: new Date(now) } } })
      await tx.oneTimeToken.create({
        data: {
          id: uuidv7(),
          purpose,
          tokenHash: hashOf(token),
          userId,
          securityVersion: user.password_version,
          newEmail: newEmail ?? null,
          expiresAt: new Date(now + ONE_TIME_TTL[purpose] * 1000),
          createdAt: new Date(now),
        },
      })
      return token
    },

    find: (db, purpose, token) => find(db, purpose, hashOf(token)),

    async consume(tx, purpose, token) {
      const tokenHash = hashOf(token)
      // The user before the token: uses of two tokens of one user would otherwise lock crosswise.
      const found = await find(tx, purpose, tokenHash, Prisma.sql`FOR UPDATE OF u`)
      if (!found) return null
      const { count } = await tx.oneTimeToken.deleteMany({ where: { tokenHash } })
      return count === 1 ? found.userId : null
    },
  }
}

const hashOf = (token: string) => new Uint8Array(createHash('sha256').update(token).digest())
