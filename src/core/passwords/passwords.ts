import type { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { createPasswords, type PasswordOptions, type Passwords } from './hashing.ts'
import { createPasswordPolicy, type PasswordPolicy } from './password-policy.ts'

export { createPasswords, type Hashing, PASSWORD_MAX_LENGTH, type Passwords } from './hashing.ts'
export { MIN_LENGTH_WITH_SECOND_FACTOR, type PasswordPolicy } from './password-policy.ts'
export { importHash } from './stored-hash.ts'

export interface PasswordsOptions {
  argon2: PasswordOptions
  /** In code points, after NFC. */
  minLength: number
  /** Base URL of the range API for breached passwords; without it only the bundled lists are checked. */
  breachedPasswordsUrl: string | undefined
  /** The name of the service that users see. */
  appName: string
  /** SQL: an array of how the stored hashes begin, one of each kind. */
  selectKinds: Prisma.Sql
}

/** Hashing of passwords, and the policy for new ones. */
export async function openPasswords(
  deps: UsesPlatform<'clock' | 'log' | 'metrics' | 'poll'>,
  { argon2, selectKinds, ...policy }: PasswordsOptions,
): Promise<{ passwords: Passwords; passwordPolicy: PasswordPolicy }> {
  const { log, metrics, poll } = deps
  const passwords = await createPasswords(deps, argon2, {
    computed: ({ family }) => metrics.countPasswordHash(family),
    failed: ({ family }) => log.error({ family }, 'a password hash could not be computed'),
    unreadable: () =>
      log.error({}, 'a stored password hash cannot be read: its owner needs a password reset'),
  })
  metrics.observePasswordQueue(passwords.queued)
  poll.ask<string[]>({
    task: 'password_hash_kinds',
    sql: () => selectKinds,
    answer: passwords.setKinds,
  })
  return { passwords, passwordPolicy: createPasswordPolicy({ ...deps, ...policy }) }
}
