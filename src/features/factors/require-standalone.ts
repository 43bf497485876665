import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

/** Checks that the password is long enough for an account without a second factor. @throws `password_too_weak`. */
export function requireStandalone(
  { passwordPolicy }: Uses<'passwordPolicy'>,
  { password }: StepUpProof,
): void {
  if (password !== undefined) passwordPolicy.checkLength(password)
}
