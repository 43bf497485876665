import { Problem } from '../../platform/problem.ts'
import { PASSWORD_MAX_LENGTH } from './passwords.ts'

/** NIST 800-63B-4 §3.1.1.2: a length, no composition rules. @throws `password_too_weak` with reasons. */
export function checkPasswordPolicy(password: string, email: string, minLength: number): void {
  const length = [...password.normalize('NFC')].length
  const reasons: string[] = []
  if (length < minLength) reasons.push('too_short')
  if (length > PASSWORD_MAX_LENGTH) reasons.push('too_long')
  if (password.trim().toLowerCase() === email) reasons.push('same_as_email')
  if (reasons.length > 0) {
    throw new Problem('password_too_weak', {
      reasons,
      detail: `Use ${minLength} to ${PASSWORD_MAX_LENGTH} characters, and not your e-mail address.`,
    })
  }
}
