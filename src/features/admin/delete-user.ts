import { eraseAccount } from '../../core/erasure/erasure.ts'
import type { RequestContext } from '../../core/events/events.ts'
import type { Revocation } from '../../core/sessions/sessions.ts'
import { type AdminUses, refuse, requireOther, type Target } from './change-account.ts'

/**
 * Deletes an account and all of its data.
 * @throws `not_found`, `own_account`, `revocation_pending` (deleted; its sessions end within a second).
 */
export async function deleteUser(
  uses: AdminUses,
  target: Target,
  context: RequestContext,
): Promise<{ revocations: readonly Revocation[] }> {
  const { userId, actor } = target
  const type = 'account_delete'
  await requireOther(uses, type, target, context)
  const revocations = await eraseAccount(uses, userId, { actor }, context)
  if (revocations) return { revocations }
  return refuse(uses, { type, outcome: 'failure', reason: 'not_found' }, target, context)
}
