import { createHash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'

export type OneTimePurpose = 'verify_email' | 'reset_password' | 'unlock'

/** Seconds a link in a mail works. */
export const ONE_TIME_TTL: Record<OneTimePurpose, number> = {
  verify_email: 24 * 3600,
  reset_password: 3600,
  unlock: 3600,
}

/** Links in mail: 256 random bits, stored hashed, good for one success. Both calls lock the user first. */
export interface OneTimeTokens {
  /** A new token; null when the user is gone or disabled. */
  issue(tx: Queryable, purpose: OneTimePurpose, userId: string): Promise<string | null>
  /** Takes the token and names its user; null when it is wrong, used, expired or void. */
  consume(tx: Queryable, purpose: OneTimePurpose, token: string): Promise<string | null>
}

export function createOneTimeTokens(clock: Clock): OneTimeTokens {
  return {
    async issue(tx, purpose, userId) {
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
          passwordVersion: user.password_version,
          expiresAt: new Date(now + ONE_TIME_TTL[purpose] * 1000),
          createdAt: new Date(now),
        },
      })
      return token
    },

    async consume(tx, purpose, token) {
      const tokenHash = hashOf(token)
      // The user before the token: uses of two tokens of one user would otherwise lock crosswise.
      // A verification is bound to its registration; a reset link proves the mailbox whoever registered it.
      const [user] = await tx.$queryRaw<{ id: string }[]>`
        SELECT u.id FROM users u JOIN one_time_tokens t ON t.user_id = u.id
        WHERE t.token_hash = ${tokenHash} AND t.purpose = ${purpose} AND t.expires_at > ${new Date(clock.now())}
          AND (t.purpose <> 'verify_email' OR u.password_version = t.password_version) AND u.disabled_at IS NULL
        FOR UPDATE OF u`
      if (!user) return null
      const { count } = await tx.oneTimeToken.deleteMany({ where: { tokenHash } })
      return count === 1 ? user.id : null
    },
  }
}

const hashOf = (token: string) => new Uint8Array(createHash('sha256').update(token).digest())
