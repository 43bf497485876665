import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { canonicalAddress } from '../../platform/email-address.ts'
import type { Transaction } from '../../platform/transact.ts'

export type ConfirmEmailChangeUses = Uses<
  'db' | 'transact' | 'clock' | 'users' | 'oneTimeTokens' | 'usedTokens' | 'lockout' | 'mail' | 'events'
>

// An attempt is repeated only if another request took the address while it ran.
const ATTEMPTS = 3

/**
 * Changes the account's address to the one that the token was mailed to. Its sessions stay. All its other links are
 * revoked, because they were mailed to the old address. Resolves as well if the token has done this before.
 * @throws `token_invalid`, also when another account has the address by now; `token_used` when the account has moved
 * on to yet another address.
 */
export async function confirmEmailChange(
  uses: ConfirmEmailChangeUses,
  token: string,
  context: RequestContext,
): Promise<void> {
  const { db, transact, usedTokens, events } = uses
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      if (await transact((tx) => move(uses, tx, token, context))) return
      break
    } catch (error) {
      // P2002: another request took the address at the same time. The next attempt sees who has it now.
      if ((error as { code?: string }).code !== 'P2002') throw error
    }
  }
  if (await isDone(uses, token)) return
  const { code, userId } = await usedTokens.explain(db, 'change_email', token)
  await events.record(db, { type: 'email_change', outcome: 'failure', reason: code, userId }, context)
  throw new Problem(code)
}

/** Whether the token would change the address or has done so, without using it up. @throws `token_invalid`, `token_used`. */
export async function checkEmailChange(
  uses: Pick<ConfirmEmailChangeUses, 'db' | 'users' | 'oneTimeTokens' | 'usedTokens'>,
  token: string,
): Promise<'usable' | 'done'> {
  const { db, oneTimeTokens, usedTokens } = uses
  if (await oneTimeTokens.find(db, 'change_email', token)) return 'usable'
  if (await isDone(uses, token)) return 'done'
  throw new Problem((await usedTokens.explain(db, 'change_email', token)).code)
}

/** Whether the account has the address that this token gave it. */
async function isDone(
  { db, users, usedTokens }: Pick<ConfirmEmailChangeUses, 'db' | 'users' | 'usedTokens'>,
  token: string,
): Promise<boolean> {
  const used = await usedTokens.find(db, 'change_email', token)
  return used !== null && (await users.find(db, used.userId))?.email === used.newEmail
}

/** False when the token is wrong, used, expired or void, or the address belongs to an account. */
async function move(
  uses: ConfirmEmailChangeUses,
  tx: Transaction,
  token: string,
  context: RequestContext,
): Promise<boolean> {
  const { users, oneTimeTokens, usedTokens, lockout, mail, events, clock } = uses
  const consumed = await oneTimeTokens.consume(tx, 'change_email', token)
  // The link may have been mailed by a version that did not know this spelling.
  const newEmail = canonicalAddress(consumed?.newEmail ?? '')
  if (!consumed || newEmail === null) return false
  const { user, expiresAt } = consumed
  // Read without a lock: two accounts that swap addresses would otherwise deadlock.
  if (await users.findByEmail(tx, newEmail)) return false
  await users.moveToEmail(tx, user, newEmail)
  await oneTimeTokens.revoke(tx, user)
  await usedTokens.remember(tx, { purpose: 'change_email', token, userId: user.id, newEmail, expiresAt })
  // Failed guesses from before the address belonged to this account: nobody was notified of such a lock.
  await lockout.unlock(tx, { email: newEmail })
  const data = { newEmail, at: clock.now(), ip: context.ip, userAgent: context.userAgent }
  await mail.enqueue(tx, user, { template: 'email_changed', data }, context)
  await events.record(tx, { type: 'email_change', outcome: 'success', userId: user.id }, context)
  return true
}
