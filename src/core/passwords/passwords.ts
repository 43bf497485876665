import type { UsesPlatform } from '../../platform/platform.ts'
import { createPasswords, type PasswordOptions, type Passwords } from './hashing.ts'
import { createPasswordPolicy, type PasswordPolicy } from './password-policy.ts'

export { createPasswords, type Hashing, type Passwords } from './hashing.ts'
export { MIN_LENGTH_WITH_SECOND_FACTOR, type PasswordPolicy } from './password-policy.ts'

export interface PasswordsOptions {
  argon2: PasswordOptions
  /** In code points, after NFC. */
  minLength: number
  /** Base URL of the range API for breached passwords; without it only the bundled list is checked. */
  breachedPasswordsUrl: string | undefined
}

/** Hashing of passwords, and the policy for new ones. */
export async function openPasswords(
  deps: UsesPlatform<'clock' | 'log' | 'metrics'>,
  { argon2, minLength, breachedPasswordsUrl }: PasswordsOptions,
): Promise<{ passwords: Passwords; passwordPolicy: PasswordPolicy }> {
  const passwords = await createPasswords(deps, argon2)
  deps.metrics.observePasswordQueue(passwords.queued)
  return { passwords, passwordPolicy: createPasswordPolicy({ ...deps, minLength, breachedPasswordsUrl }) }
}
