import { createHash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'

export type OneTimePurpose = 'verify_email' | 'reset_password'

/** Seconds a link in a mail works. */
export const ONE_TIME_TTL: Record<OneTimePurpose, number> = { verify_email: 24 * 3600, reset_password: 3600 }

/** Links in mail: 256 random bits, stored hashed, good for one success. */
export interface OneTimeTokens {
  issue(
    tx: Queryable,
    purpose: OneTimePurpose,
    user: { id: string; passwordVersion: number },
  ): Promise<string>
  /** Takes the token and names its user; null when it is wrong, used, expired or void. */
  consume(tx: Queryable, purpose: OneTimePurpose, token: string): Promise<string | null>
}

export function createOneTimeTokens(clock: Clock): OneTimeTokens {
  return {
    async issue(tx, purpose, user) {
      const token = randomBytes(32).toString('base64url')
      const now = clock.now()
      await tx.oneTimeToken.deleteMany({
        where: {
          userId: user.id,
          OR: [{ expiresAt: { lt: new Date(now) } }, { passwordVersion: { not: user.passwordVersion } }],
        },
      })
      await tx.oneTimeToken.create({
        data: {
          id: uuidv7(),
          purpose,
          tokenHash: hashOf(token),
          userId: user.id,
          passwordVersion: user.passwordVersion,
          expiresAt: new Date(now + ONE_TIME_TTL[purpose] * 1000),
          createdAt: new Date(now),
        },
      })
      return token
    },

    async consume(tx, purpose, token) {
      // One statement: of 20 parallel uses, the row lock lets one through.
      const rows = await tx.$queryRaw<{ user_id: string }[]>`
        DELETE FROM one_time_tokens t USING users u
        WHERE t.token_hash = ${hashOf(token)} AND t.purpose = ${purpose} AND t.expires_at > ${new Date(clock.now())}
          AND u.id = t.user_id AND u.password_version = t.password_version AND u.disabled_at IS NULL
        RETURNING t.user_id`
      return rows[0]?.user_id ?? null
    },
  }
}

const hashOf = (token: string) => new Uint8Array(createHash('sha256').update(token).digest())
