import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { sendVerification } from './register.ts'

export type VerifyEmailUses = Uses<
  'db' | 'transact' | 'users' | 'oneTimeTokens' | 'lockout' | 'mail' | 'links' | 'events'
>

/** Confirms the registration the token belongs to. @throws `token_invalid`. */
export async function verifyEmail(
  uses: VerifyEmailUses,
  token: string,
  context: RequestContext,
): Promise<void> {
  const { db, transact, users, oneTimeTokens, lockout, events } = uses
  const isVerified = await transact(async (tx) => {
    const consumed = await oneTimeTokens.consume(tx, 'verify_email', token)
    if (!consumed) return false
    const user = await users.markVerified(tx, consumed.user)
    // Failed guesses from before the address belonged to this account: nobody was notified of such a lock.
    await lockout.unlock(tx, { email: user.email })
    await oneTimeTokens.revoke(tx, user, 'verify_email')
    await events.record(tx, { type: 'verify_email', outcome: 'success', userId: user.id }, context)
    return true
  })
  if (isVerified) return
  await events.record(db, { type: 'verify_email', outcome: 'failure', reason: 'token_invalid' }, context)
  throw new Problem('token_invalid')
}

/** Sends the verification of an unverified registration again; does nothing for other addresses. */
export async function resendVerification(uses: VerifyEmailUses, email: string): Promise<void> {
  const { db, transact, users } = uses
  const found = await users.findByEmail(db, email)
  if (!found || found.emailVerifiedAt || found.disabledAt) return
  await transact(async (tx) => {
    const user = await users.lock(tx, found.id)
    if (user) await sendVerification(uses, tx, user)
  })
}
