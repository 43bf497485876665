import type { Origin } from '../../core/audit/audit.ts'
import { type ErasureDeps, eraseAccount } from '../../core/erasure/erase-account.ts'
import type { Ending } from '../../core/refresh-tokens/ledger.ts'
import { refuse, requireOther, type Target } from './change-account.ts'

/**
 * Deletes an account with everything of it.
 * @throws `not_found`, `own_account`, `revocation_pending` (deleted, the endings follow).
 */
export async function deleteUser(
  deps: ErasureDeps,
  target: Target,
  origin: Origin,
): Promise<{ endings: readonly Ending[] }> {
  const { userId, actor } = target
  await requireOther(deps, 'account_delete', target, origin)
  const endings = await eraseAccount(deps, userId, { actor }, origin)
  return { endings: endings ?? (await refuse(deps, 'account_delete', target, 'not_found', origin)) }
}
