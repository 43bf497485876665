import type { Clock } from '../../platform/clock.ts'
import { oneSpelling } from '../../platform/spelling.ts'
import { Problem } from '../problems/problems.ts'
import type { PasswordFault } from '../reasons/reasons.ts'
import { type BreachedPasswordsDeps, createBreachedPasswords } from './breached-passwords.ts'
import { openCommonPasswords } from './common-passwords.ts'
import { PASSWORD_MAX_LENGTH } from './hashing.ts'

/** A length and no composition rules (NIST 800-63B-4 §3.1.1.2), and none of the passwords that are known. */
export interface PasswordPolicy {
  /** The rule as a sentence, for a person who is about to choose. */
  readonly rule: string
  /**
   * `email` is the canonical address of the account, `minLength` what is asked of this account instead of everybody.
   * May wait a second for the network: never call it inside a transaction.
   * @throws `password_too_weak` with reasons.
   */
  check(password: string, account: { email: string; minLength?: number | undefined }): Promise<void>
  /** Before the last second factor goes. @throws `password_too_weak` for one that is long enough only beside it. */
  checkLength(password: string): void
}

export interface PasswordPolicyDeps {
  /** In code points, after NFC; as is the longest. */
  minLength: number
  breachedPasswordsUrl: string | undefined
  clock: Clock
  log: BreachedPasswordsDeps['log']
}

/** What an account with a second factor must have (NIST 800-63B-4 §3.1.1.2). */
export const MIN_LENGTH_WITH_SECOND_FACTOR = 8

// NFC makes at most four code points one, and a code point has at most two units: what is longer needs no counting.
const MAX_UNITS = PASSWORD_MAX_LENGTH * 4 * 2

export function createPasswordPolicy(deps: PasswordPolicyDeps): PasswordPolicy {
  const common = openCommonPasswords()
  const breached = createBreachedPasswords({ ...deps, url: deps.breachedPasswordsUrl })

  const orFewer = ` With a second factor ${MIN_LENGTH_WITH_SECOND_FACTOR} are enough.`
  return {
    rule: lengthRule(deps.minLength) + (deps.minLength > MIN_LENGTH_WITH_SECOND_FACTOR ? orFewer : ''),
    async check(password, { email, minLength = deps.minLength }) {
      const refuse = (reasons: readonly PasswordFault[]) => {
        const detail = reasons.map((reason) => ADVICE[reason] ?? lengthRule(minLength)).join(' ')
        return new Problem('password_too_weak', { reasons, detail })
      }
      if (isTooLong(password)) throw refuse(['too_long'])
      const reasons: PasswordFault[] = []
      if (lengthOf(password) < minLength) reasons.push('too_short')
      if (oneSpelling(password) === email) reasons.push('same_as_email')
      if (await common.has(password)) reasons.push('common')
      if (reasons.length > 0) throw refuse(reasons)
      if (await breached.has(password)) throw refuse(['breached'])
    },
    checkLength(password) {
      if (isTooLong(password) || lengthOf(password) >= deps.minLength) return
      const detail = `Without a second factor a password needs ${deps.minLength} characters: choose another one first.`
      throw new Problem('password_too_weak', { reasons: ['too_short'], detail })
    },
  }
}

/** What to say of each; of a wrong length, the rule. */
const ADVICE: { [F in PasswordFault]?: string } = {
  same_as_email: 'Your e-mail address is no password.',
  common: 'This is one of the commonest passwords, so it is among the first that are guessed.',
  breached:
    'This password stands in a list from a breach elsewhere, so it is among the first that are guessed.',
}

const lengthRule = (minLength: number) => `Use ${minLength} to ${PASSWORD_MAX_LENGTH} characters.`
const lengthOf = (password: string) => [...password.normalize('NFC')].length
const isTooLong = (password: string) =>
  password.length > MAX_UNITS || lengthOf(password) > PASSWORD_MAX_LENGTH
