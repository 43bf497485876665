import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'
import { clearCodesWithoutFactor, requireStandalone } from './last-factor.ts'

export type DisableTotpUses = Uses<'db' | 'transact' | 'factors' | 'passwordPolicy' | 'stepUp' | 'events'>

/**
 * Turns the authenticator app off. If it was the last factor, also deletes the recovery codes.
 * @throws `not_found` without one, `password_too_weak` (it is the last factor, and the password is too short without
 * one), and what a step-up throws.
 */
export async function disableTotp(
  uses: DisableTotpUses,
  principal: UserPrincipal,
  proof: StepUpProof,
  context: RequestContext,
): Promise<void> {
  const { db, transact, factors, stepUp, events } = uses
  const { userId, sessionId } = principal
  await stepUp.requireShape(principal, proof)
  const owned = await factors.of(db, userId)
  if (!owned.totp) throw new Problem('not_found')
  if (owned.passkeys === 0) requireStandalone(uses, proof)
  const proven = await stepUp.require(principal, proof, context, 'totp_disable')
  await transact(async (tx) => {
    const user = await stepUp.lock(tx, proven)
    if (!(await factors.totp.disable(tx, user))) throw new Problem('not_found')
    await clearCodesWithoutFactor(uses, tx, user, proof)
    await factors.notifyOwner(tx, user, 'totp_disabled', context)
    await events.record(tx, { type: 'totp_disable', outcome: 'success', userId, sessionId }, context)
  })
}
