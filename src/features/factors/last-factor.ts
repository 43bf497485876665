import { hasSecondFactor } from '../../core/factors/factors.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { LockedUser } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import type { Transaction } from '../../platform/transact.ts'

/** Checks that the password is long enough for an account without a second factor. @throws `password_too_weak`. */
export function requireStandalone(
  { passwordPolicy }: Uses<'passwordPolicy'>,
  { password }: StepUpProof,
): void {
  if (password !== undefined) passwordPolicy.checkLength(password)
}

/**
 * After the removal of a factor: if no second factor is left, deletes the recovery codes.
 * @throws `password_too_weak` if none is left and the password is too short without one.
 */
export async function clearCodesWithoutFactor(
  uses: Uses<'factors' | 'passwordPolicy'>,
  tx: Transaction,
  user: LockedUser,
  proof: StepUpProof,
): Promise<void> {
  if (hasSecondFactor(await uses.factors.of(tx, user.id))) return
  // Checked again: another factor may have been removed in the meantime.
  requireStandalone(uses, proof)
  await uses.factors.recoveryCodes.clear(tx, user)
}
