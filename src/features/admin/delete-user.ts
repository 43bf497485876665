import { type ErasureDeps, eraseAccount } from '../../core/erasure/erasure.ts'
import type { Origin } from '../../core/events/events.ts'
import type { Revocation } from '../../core/sessions/ledger.ts'
import { refuse, requireOther, type Target } from './change-account.ts'

/**
 * Deletes an account with everything of it.
 * @throws `not_found`, `own_account`, `revocation_pending` (deleted, the revocations follow).
 */
export async function deleteUser(
  deps: ErasureDeps,
  target: Target,
  origin: Origin,
): Promise<{ revocations: readonly Revocation[] }> {
  const { userId, actor } = target
  await requireOther(deps, 'account_delete', target, origin)
  const revocations = await eraseAccount(deps, userId, { actor }, origin)
  return { revocations: revocations ?? (await refuse(deps, 'account_delete', target, 'not_found', origin)) }
}
