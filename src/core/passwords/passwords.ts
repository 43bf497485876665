import type { UsesPlatform } from '../../platform/platform.ts'
import { createPasswords, type PasswordOptions, type Passwords } from './hashing.ts'
import { createPasswordPolicy, type PasswordPolicy } from './password-policy.ts'

export { createPasswords, type Passwords } from './hashing.ts'
export { MIN_LENGTH_WITH_SECOND_FACTOR, type PasswordPolicy } from './password-policy.ts'

export interface PasswordsOptions {
  argon2: PasswordOptions
  /** In code points, after NFC. */
  minLength: number
  /** Where the range API for breached passwords is; undefined asks only the bundled list. */
  breachedPasswordsUrl: string | undefined
}

/** Hashing of passwords, and which ones are accepted. */
export async function openPasswords(
  deps: UsesPlatform<'clock' | 'log' | 'metrics'>,
  { argon2, minLength, breachedPasswordsUrl }: PasswordsOptions,
): Promise<{ passwords: Passwords; passwordPolicy: PasswordPolicy }> {
  const passwords = await createPasswords(argon2)
  deps.metrics.observePasswordQueue(passwords.queued)
  return { passwords, passwordPolicy: createPasswordPolicy({ ...deps, minLength, breachedPasswordsUrl }) }
}
