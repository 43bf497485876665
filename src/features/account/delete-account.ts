import { eraseAccount } from '../../core/erasure/erasure.ts'
import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

export type DeleteAccountUses = Uses<
  'transact' | 'clock' | 'users' | 'sessions' | 'mail' | 'events' | 'stepUp'
>

/**
 * Deletes the user's own account and all of its data.
 * @throws `invalid_credentials`, `mfa_required`, `mfa_invalid`, `too_many_attempts`, `revocation_pending` (deleted;
 * its sessions end within a second).
 */
export async function deleteAccount(
  uses: DeleteAccountUses,
  principal: UserPrincipal,
  proof: StepUpProof,
  context: RequestContext,
): Promise<void> {
  const user = await uses.stepUp.require(principal, proof, context, 'account_delete')
  const erased = await eraseAccount(uses, user.id, { sessionId: principal.sessionId }, context)
  if (!erased) throw new Problem('access_token_invalid')
}
