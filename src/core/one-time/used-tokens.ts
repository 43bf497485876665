import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import type { UsedToken } from '../../platform/generated/client.ts'
import { hashOpaqueToken } from '../../platform/opaque-token.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { LockedUser, User, Users } from '../users/users.ts'
import type { OneTimePurpose } from './one-time-tokens.ts'

/**
 * Tokens of mailed links that were used, remembered until they would have expired, so that a second press, or a client
 * that lost the answer, is told the truth. Apart from `repeats` a used token does nothing. They go with the account.
 */
export interface UsedTokens {
  /** Call it in the transaction that does what the token is for. */
  remember(tx: Transaction, token: UseOfToken): Promise<void>
  /** Null for a token that was not used, or would have expired by now, or whose account is deleted. */
  find(db: Queryable, purpose: OneTimePurpose, token: string): Promise<UsedToken | null>
  /** Why a token that was refused does not work, for the answer and the audit event. */
  explain(db: Queryable, purpose: OneTimePurpose, token: string): Promise<Refusal>
  /** Finds the user of a used token that may act again, as `lockToRepeat` does. */
  findToRepeat(db: Queryable, purpose: OneTimePurpose, token: string): Promise<User | null>
  /** Locks the user of a used token that may act again; null if it may not, or the user is disabled. */
  lockToRepeat(tx: Transaction, purpose: OneTimePurpose, token: string): Promise<LockedUser | null>
  /** Counts that it has acted again, under the lock of `lockToRepeat`. */
  countRepeat(tx: Transaction, token: string): Promise<void>
}

export interface UseOfToken {
  purpose: OneTimePurpose
  token: string
  /** Whose token it was, or whose account it made. */
  userId: string
  expiresAt: Date
  /** The address that the account got, if the token was for a change of address. */
  newEmail?: string | null
  /** How often the token may act again, until a revocation of the user's tokens. Default 0. */
  repeats?: number
}

export interface Refusal {
  /** `token_invalid` also for a token that nobody has issued. */
  code: 'token_used' | 'token_invalid'
  userId: string | undefined
}

export function createUsedTokens(deps: { clock: Clock; users: Pick<Users, 'find' | 'lock'> }): UsedTokens {
  const { clock, users } = deps

  const find: UsedTokens['find'] = (db, purpose, token) =>
    db.usedToken.findUnique({
      where: { tokenHash: hashOpaqueToken(token), purpose, expiresAt: { gt: new Date(clock.now()) } },
    })

  return {
    async remember(tx, { token, repeats = 0, newEmail = null, purpose, userId, expiresAt }) {
      await tx.usedToken.create({
        data: {
          tokenHash: hashOpaqueToken(token),
          purpose,
          userId,
          newEmail,
          repeatsLeft: repeats,
          expiresAt,
        },
      })
    },
    find,
    async explain(db, purpose, token) {
      const used = await find(db, purpose, token)
      return { code: used ? 'token_used' : 'token_invalid', userId: used?.userId }
    },
    async findToRepeat(db, purpose, token) {
      const used = await find(db, purpose, token)
      if (!used || used.repeatsLeft === 0) return null
      const user = await users.find(db, used.userId)
      return user?.disabledAt ? null : user
    },
    async lockToRepeat(tx, purpose, token) {
      const used = await find(tx, purpose, token)
      const user = used && (await users.lock(tx, used.userId))
      // Read under the lock: another transaction may have taken the last repeat, or revoked it.
      const now = user && (await find(tx, purpose, token))
      return now && now.repeatsLeft > 0 ? user : null
    },
    async countRepeat(tx, token) {
      await tx.usedToken.update({
        where: { tokenHash: hashOpaqueToken(token) },
        data: { repeatsLeft: { decrement: 1 } },
      })
    },
  }
}
