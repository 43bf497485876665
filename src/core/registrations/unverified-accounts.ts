import { uuidv7 } from 'uuidv7'
import { type Background, repeat } from '../../platform/background.ts'
import { canonicalAddress } from '../../platform/email-address.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import { hasUnverified, type LockedUser, type Users } from '../users/users.ts'

/** Seconds for which a registration, and the link that confirms it, is valid. */
export const REGISTRATION_TTL = 24 * 3600

const BATCH = 200

/**
 * Turns accounts that were never verified into registrations. The previous version made an account at once, and its
 * nodes go on doing so during an update. The newest link that was mailed stays valid.
 */
export function createUnverifiedAccounts(
  deps: UsesPlatform<'transact' | 'poll' | 'clock' | 'log' | 'metrics'> & {
    users: Pick<Users, 'removeUnverified'>
  },
): Background {
  const { transact, poll, clock, users } = deps

  async function keep(tx: Transaction, accounts: readonly LockedUser[]): Promise<void> {
    const now = new Date(clock.now())
    const tokens = await tx.oneTimeToken.findMany({
      where: {
        userId: { in: accounts.map(({ id }) => id) },
        purpose: 'verify_email',
        expiresAt: { gt: now },
      },
      orderBy: { createdAt: 'asc' },
    })
    // The newest of each account replaces the others.
    const newest = new Map(tokens.map((token) => [token.userId, token]))
    await tx.registration.createMany({
      data: accounts.map(({ id, email, name, passwordHash, securityVersion }) => {
        const token = newest.get(id)
        const linkHash = token?.securityVersion === securityVersion ? token.tokenHash : null
        const expiresAt = new Date(clock.now() + REGISTRATION_TTL * 1000)
        return {
          id: uuidv7(),
          email: canonicalAddress(email) ?? email,
          name,
          passwordHash,
          linkHash,
          createdAt: now,
          expiresAt,
        }
      }),
    })
  }

  const worker = repeat({
    task: 'unverified_accounts',
    async run(signal) {
      for (let count = BATCH; count === BATCH && !signal.aborted; ) {
        count = await transact((tx) => users.removeUnverified(tx, BATCH, (found) => keep(tx, found)))
      }
    },
    failure: { message: 'accounts that were never verified cannot be turned into registrations' },
    monitor: deps,
  })
  poll.ask<boolean>({
    task: 'unverified_accounts',
    sql: () => hasUnverified,
    answer(hasSome) {
      if (hasSome) worker.wake()
    },
  })
  return worker
}
