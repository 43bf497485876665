import { eraseAccount } from '../../core/erasure/erasure.ts'
import type { Origin } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import type { ChangePasswordDeps } from './change-password.ts'

/**
 * Deletes the account with everything of it.
 * @throws `invalid_credentials`, `mfa_required`, `mfa_invalid`, `too_many_attempts`, `revocation_pending` (deleted, the revocations follow).
 */
export async function deleteAccount(
  deps: ChangePasswordDeps,
  session: AccessTokenClaims,
  proof: Parameters<StepUp['require']>[1],
  origin: Origin,
): Promise<void> {
  const user = await deps.stepUp.require(session, proof, origin, 'account_delete')
  const erased = await eraseAccount(deps, user.id, { sessionId: session.sid }, origin)
  if (!erased) throw new Problem('access_token_invalid')
}
