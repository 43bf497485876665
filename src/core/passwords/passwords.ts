import type { UsesPlatform } from '../../platform/platform.ts'
import { createPasswords, type PasswordOptions, type Passwords } from './hashing.ts'
import { createPasswordPolicy, type PasswordPolicy } from './password-policy.ts'

export { createPasswords, type Hashing, type Passwords } from './hashing.ts'
export { MIN_LENGTH_WITH_SECOND_FACTOR, type PasswordPolicy } from './password-policy.ts'

export interface PasswordsOptions {
  argon2: PasswordOptions
  /** In code points, after NFC. */
  minLength: number
  /** Base URL of the range API for breached passwords; without it only the bundled lists are checked. */
  breachedPasswordsUrl: string | undefined
  /** The name of the service that users see. */
  appName: string
}

/** Hashing of passwords, and the policy for new ones. */
export async function openPasswords(
  deps: UsesPlatform<'clock' | 'log' | 'metrics'>,
  { argon2, ...policy }: PasswordsOptions,
): Promise<{ passwords: Passwords; passwordPolicy: PasswordPolicy }> {
  const passwords = await createPasswords(deps, argon2)
  deps.metrics.observePasswordQueue(passwords.queued)
  return { passwords, passwordPolicy: createPasswordPolicy({ ...deps, ...policy }) }
}
