import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { canonicalAddress } from '../../platform/email-address.ts'
import type { Transaction } from '../../platform/transact.ts'

export type ConfirmEmailChangeUses = Uses<
  'db' | 'transact' | 'clock' | 'users' | 'oneTimeTokens' | 'lockout' | 'mail' | 'events'
>

// An attempt is repeated only if another request took the address while it ran.
const ATTEMPTS = 3

/**
 * Changes the account's address to the one that the token was mailed to. Its sessions stay. All its other links are
 * revoked, because they were mailed to the old address.
 * @throws `token_invalid`, also when another account has the address by now.
 */
export async function confirmEmailChange(
  uses: ConfirmEmailChangeUses,
  token: string,
  context: RequestContext,
): Promise<void> {
  const { db, transact, events } = uses
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      if (await transact((tx) => move(uses, tx, token, context))) return
      break
    } catch (error) {
      // P2002: another request took the address at the same time. The next attempt sees who has it now.
      if ((error as { code?: string }).code !== 'P2002') throw error
    }
  }
  await events.record(db, { type: 'email_change', outcome: 'failure', reason: 'token_invalid' }, context)
  throw new Problem('token_invalid')
}

/** False when the token is wrong, used, expired or void, or the address belongs to an account. */
async function move(
  uses: ConfirmEmailChangeUses,
  tx: Transaction,
  token: string,
  context: RequestContext,
): Promise<boolean> {
  const { users, oneTimeTokens, lockout, mail, events, clock } = uses
  const consumed = await oneTimeTokens.consume(tx, 'change_email', token)
  // The link may have been mailed by a version that did not know this spelling.
  const newEmail = canonicalAddress(consumed?.newEmail ?? '')
  if (!consumed || newEmail === null) return false
  const { user } = consumed
  // Read without a lock: two accounts that swap addresses would otherwise deadlock.
  if (await users.findByEmail(tx, newEmail)) return false
  await users.moveToEmail(tx, user, newEmail)
  await oneTimeTokens.revoke(tx, user)
  // Failed guesses from before the address belonged to this account: nobody was notified of such a lock.
  await lockout.unlock(tx, { email: newEmail })
  await mail.enqueue(tx, user, {
    template: 'email_changed',
    data: { newEmail, at: clock.now(), ip: context.ip, userAgent: context.userAgent },
  })
  await events.record(tx, { type: 'email_change', outcome: 'success', userId: user.id }, context)
  return true
}
