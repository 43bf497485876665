import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import type { Transaction } from '../../platform/transact.ts'

export type ConfirmEmailChangeUses = Uses<
  'db' | 'transact' | 'clock' | 'users' | 'oneTimeTokens' | 'lockout' | 'mail' | 'events'
>

// Each attempt fails only when somebody else took the address within it.
const ATTEMPTS = 3

/**
 * Moves the account to the address that the token was mailed to. Its sessions stay; every other link of it is void, for
 * it was mailed to an address that no longer counts.
 * @throws `token_invalid`, also when an account has come to hold the address.
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
      // The address was registered, or moved to, at this very moment: whose it is now decides.
      if ((error as { code?: string }).code !== 'P2002') throw error
    }
  }
  await events.record(db, { type: 'email_change', outcome: 'failure', reason: 'token_invalid' }, context)
  throw new Problem('token_invalid')
}

/** False when the token is wrong, used, expired or void, or the address is somebody's. */
async function move(
  uses: ConfirmEmailChangeUses,
  tx: Transaction,
  token: string,
  context: RequestContext,
): Promise<boolean> {
  const { users, oneTimeTokens, lockout, mail, events, clock } = uses
  const consumed = await oneTimeTokens.consume(tx, 'change_email', token)
  if (!consumed?.newEmail) return false
  const { user, newEmail } = consumed
  if (!(await vacate(uses, tx, newEmail, context))) return false
  await users.moveToEmail(tx, user, newEmail)
  await oneTimeTokens.revoke(tx, user)
  // Strangers may have guessed at the address before it was anybody's: no mail told of that lock.
  await lockout.unlock(tx, { email: newEmail })
  await mail.enqueue(tx, user.email, {
    template: 'email_changed',
    data: { newEmail, at: clock.now(), ip: context.ip, userAgent: context.userAgent },
  })
  await events.record(tx, { type: 'email_change', outcome: 'success', userId: user.id }, context)
  return true
}

/** Removes a registration that nobody has confirmed: it must not keep the address. False when it is an account's. */
async function vacate(
  { users, events }: ConfirmEmailChangeUses,
  tx: Transaction,
  email: string,
  context: RequestContext,
): Promise<boolean> {
  // Read without a lock first: two accounts that want each other's address would wait for one another.
  const holder = await users.findByEmail(tx, email)
  if (!holder) return true
  if (!(await users.removeUnverified(tx, holder))) return false
  const event = { type: 'account_delete', outcome: 'success', reason: 'superseded' } as const
  await events.record(tx, { ...event, userId: holder.id }, context)
  return true
}
