import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'
import { clearCodesWithoutFactor, requireStandalone } from './last-factor.ts'

export type RemovePasskeyUses = Uses<'db' | 'transact' | 'factors' | 'passwordPolicy' | 'stepUp' | 'events'>

/**
 * Removes a passkey. If it was the last second factor, also deletes the recovery codes.
 * @throws `not_found`, `password_too_weak` (it is the last factor, and the password is too short without one), those
 * of `StepUp.require`; `invalid_credentials` also when the password has changed since.
 */
export async function removePasskey(
  uses: RemovePasskeyUses,
  principal: UserPrincipal,
  passkeyId: string,
  proof: StepUpProof,
  context: RequestContext,
): Promise<void> {
  const { db, transact, factors, stepUp, events } = uses
  const { userId, sessionId } = principal
  await stepUp.requireShape(principal, proof)
  // Checked first, so that no factor is used up for nothing.
  const passkeys = await factors.passkeys.list(db, userId)
  if (!passkeys.some(({ id }) => id === passkeyId.toLowerCase())) throw new Problem('not_found')
  const isLast = passkeys.length === 1 && !(await factors.of(db, userId)).totp
  if (isLast) requireStandalone(uses, proof)
  const proven = await stepUp.require(principal, proof, context, 'passkey_remove')
  await transact(async (tx) => {
    const user = await stepUp.lock(tx, proven)
    if (!(await factors.passkeys.remove(tx, user, passkeyId))) throw new Problem('not_found')
    await clearCodesWithoutFactor(uses, tx, user, proof)
    await factors.notifyOwner(tx, user, 'passkey_removed', context)
    await events.record(tx, { type: 'passkey_remove', outcome: 'success', userId, sessionId }, context)
  })
}
