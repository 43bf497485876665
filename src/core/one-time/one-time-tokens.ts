import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import type { OneTimeToken } from '../../platform/generated/client.ts'
import { hashOpaqueToken, newOpaqueToken } from '../../platform/opaque-token.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { LockedUser, User, Users } from '../users/users.ts'

export type OneTimePurpose = 'reset_password' | 'unlock' | 'change_email' | 'keep_factors'

/** The lifetime of the link in a mail, in seconds. */
export const ONE_TIME_TTL: Record<OneTimePurpose, number> = {
  reset_password: 3600,
  unlock: 3600,
  change_email: 3600,
  keep_factors: 24 * 3600,
}

/** Tokens of mailed links: 256 random bits, stored as hashes, each used up by one success. */
export interface OneTimeTokens {
  /**
   * Issues a token; `newEmail` is the canonical address of a change of address, `ttl` a lifetime in seconds. Null for a
   * disabled user, unless it is for keeping factors.
   */
  issue(
    tx: Transaction,
    purpose: OneTimePurpose,
    user: LockedUser,
    newEmail?: string,
    ttl?: number,
  ): Promise<string | null>
  /** Finds the token's user without using it up; null when `consume` would refuse it. */
  find(db: Queryable, purpose: OneTimePurpose, token: string): Promise<User | null>
  /** Uses the token up and locks its user; null when the token is wrong, used, expired or void. */
  consume(tx: Transaction, purpose: OneTimePurpose, token: string): Promise<ConsumedToken | null>
  /** Whether the user has a token of this purpose that has not expired. */
  isPending(db: Queryable, purpose: OneTimePurpose, userId: string): Promise<boolean>
  /**
   * Revokes those of one purpose or, without it, all tokens of a user but those that only keep what the user has. Used ones
   * do not act again.
   */
  revoke(tx: Transaction, user: LockedUser, purpose?: OneTimePurpose): Promise<void>
}

export interface ConsumedToken {
  user: LockedUser
  expiresAt: Date
  /** The new address, if the token is for a change of address. */
  newEmail: string | null
}

/** Voids every link that was issued until a time: it may have been used since. @returns how many. */
export async function voidLinks(tx: Transaction, until: Date): Promise<number> {
  const { count } = await tx.oneTimeToken.deleteMany({ where: { createdAt: { lte: until } } })
  return count
}

export function createOneTimeTokens(deps: {
  clock: Clock
  users: Pick<Users, 'find' | 'lock'>
}): OneTimeTokens {
  const { clock, users } = deps
  const now = () => new Date(clock.now())

  const read = (db: Queryable, purpose: OneTimePurpose, token: string) =>
    db.oneTimeToken.findUnique({
      where: { tokenHash: hashOpaqueToken(token), purpose, expiresAt: { gt: now() } },
    })

  return {
    async issue(tx, purpose, user, newEmail, ttl = ONE_TIME_TTL[purpose]) {
      if (user.disabledAt && purpose !== 'keep_factors') return null
      const token = newOpaqueToken()
      await tx.oneTimeToken.deleteMany({ where: { userId: user.id, expiresAt: { lt: now() } } })
      await tx.oneTimeToken.create({
        data: {
          id: uuidv7(),
          purpose,
          tokenHash: hashOpaqueToken(token),
          userId: user.id,
          securityVersion: user.securityVersion,
          newEmail: newEmail ?? null,
          expiresAt: new Date(clock.now() + ttl * 1000),
          createdAt: now(),
        },
      })
      return token
    },
    async find(db, purpose, token) {
      const found = await read(db, purpose, token)
      const user = found && (await users.find(db, found.userId))
      return user && isValidFor(found, user) ? user : null
    },
    async consume(tx, purpose, token) {
      const found = await read(tx, purpose, token)
      // The user is locked before the token: otherwise uses of two tokens of one user could deadlock.
      const user = found && (await users.lock(tx, found.userId))
      if (!user || !isValidFor(found, user)) return null
      const { count } = await tx.oneTimeToken.deleteMany({ where: { id: found.id } })
      return count === 1 ? { user, expiresAt: found.expiresAt, newEmail: found.newEmail } : null
    },
    async isPending(db, purpose, userId) {
      return (await db.oneTimeToken.count({ where: { userId, purpose, expiresAt: { gt: now() } } })) > 0
    },
    async revoke(tx, { id: userId }, purpose) {
      const where = { userId, purpose: purpose ?? { not: 'keep_factors' } }
      await tx.oneTimeToken.deleteMany({ where })
      await tx.usedToken.updateMany({ where, data: { repeatsLeft: 0 } })
    },
  }
}

/**
 * A change of address is valid only while the password is the same and no reset is required. A reset link proves access
 * to the mailbox and is bound to neither. Factors can be kept whatever happens to the account: somebody who is after them
 * may have changed it.
 */
function isValidFor(token: OneTimeToken, user: User): boolean {
  if (token.purpose === 'keep_factors') return true
  if (user.disabledAt) return false
  if (token.purpose !== 'change_email') return true
  return !user.resetRequiredAt && token.securityVersion === user.securityVersion
}
