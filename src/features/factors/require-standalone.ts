import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

/** Before the last second factor goes: the password must be long enough without one. @throws `password_too_weak`. */
export function requireStandalone(
  { passwordPolicy }: Uses<'passwordPolicy'>,
  { password }: StepUpProof,
): void {
  if (password !== undefined) passwordPolicy.checkLength(password)
}
