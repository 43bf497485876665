import type { RequestContext } from '../../core/events/events.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

export type CreateRecoveryCodesUses = Uses<'db' | 'transact' | 'factors' | 'stepUp' | 'events'>

/**
 * Replaces the recovery codes with ten new ones.
 * @throws `not_found` without a second factor, and what a step-up throws.
 */
export async function createRecoveryCodes(
  { db, transact, factors, stepUp, events }: CreateRecoveryCodesUses,
  principal: UserPrincipal,
  proof: StepUpProof,
  context: RequestContext,
): Promise<string[]> {
  const { userId, sessionId } = principal
  await stepUp.requireShape(principal, proof)
  if (!hasSecondFactor(await factors.of(db, userId))) throw new Problem('not_found')
  const proven = await stepUp.require(principal, proof, context, 'recovery_codes_create')
  return transact(async (tx) => {
    const user = await stepUp.lock(tx, proven)
    if (!hasSecondFactor(await factors.of(tx, userId))) throw new Problem('not_found')
    const codes = await factors.recoveryCodes.replace(tx, user)
    await factors.notifyOwner(tx, user, 'recovery_codes_created', context)
    const event = { type: 'recovery_codes_create', outcome: 'success', userId, sessionId } as const
    await events.record(tx, event, context)
    return codes
  })
}
