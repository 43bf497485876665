import type { AccessTokenClaims } from '../../core/access-tokens/access-tokens.ts'
import type { Origin } from '../../core/audit/audit.ts'
import { eraseAccount } from '../../core/erasure/erase-account.ts'
import { Problem } from '../../platform/problem.ts'
import { type ChangePasswordDeps, requirePassword } from './change-password.ts'

/**
 * Deletes the account with everything of it.
 * @throws `invalid_credentials`, `revocation_pending` (deleted, the endings follow).
 */
export async function deleteAccount(
  deps: ChangePasswordDeps,
  session: AccessTokenClaims,
  password: string,
  origin: Origin,
): Promise<void> {
  const user = await requirePassword(deps, session, password, 'account_delete', origin)
  const erased = await eraseAccount(deps, user.id, { sessionId: session.sid }, origin)
  if (!erased) throw new Problem('access_token_invalid')
}
