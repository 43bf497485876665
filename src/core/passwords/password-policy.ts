import type { Clock } from '../../platform/clock.ts'
import { canonicalAddress } from '../../platform/email-address.ts'
import { Problem } from '../problems/problems.ts'
import type { PasswordFault } from '../reasons/reasons.ts'
import { withoutWords, wordsOfEmail, wordsOfName } from './account-words.ts'
import { type BreachedPasswordsDeps, createBreachedPasswords } from './breached-passwords.ts'
import { commonPasswords } from './common-passwords.ts'
import { PASSWORD_MAX_LENGTH } from './hashing.ts'
import { isGuessable } from './strength.ts'

/** Requires a length, no composition rules (NIST 800-63B-4 §3.1.1.2), and refuses what is known or easily guessed. */
export interface PasswordPolicy {
  /** The minimum without a second factor, in characters. */
  readonly minLength: number
  /**
   * `email` is the canonical address of the account; with a second factor, a shorter password is enough.
   * May wait a second for the network: do not call it inside a transaction.
   * @throws `password_too_weak` with reasons.
   */
  check(password: string, account: { email: string; hasSecondFactor?: boolean }): Promise<void>
  /** For an account without a second factor. @throws `password_too_weak` for a password that is too short. */
  checkLength(password: string): void
}

export interface PasswordPolicyDeps {
  /** In code points after NFC, like the maximum. */
  minLength: number
  /** The name of the service that users see. */
  appName: string
  breachedPasswordsUrl: string | undefined
  clock: Clock
  log: BreachedPasswordsDeps['log']
}

/** The minimum for an account with a second factor (NIST 800-63B-4 §3.1.1.2). */
export const MIN_LENGTH_WITH_SECOND_FACTOR = 8

// NFC merges at most four code points into one, each of at most two units. A longer text is too long in any case.
const MAX_UNITS = PASSWORD_MAX_LENGTH * 4 * 2

export function createPasswordPolicy(deps: PasswordPolicyDeps): PasswordPolicy {
  const breached = createBreachedPasswords({ ...deps, url: deps.breachedPasswordsUrl })

  const appWords = wordsOfName(deps.appName)

  /** What a guesser who knows the account needs few guesses for. */
  async function guessableParts(password: string, email: string): Promise<PasswordFault[]> {
    const sources = [
      ['based_on_email', wordsOfEmail(email)],
      ['based_on_app_name', appWords],
    ] as const
    const words = sources.flatMap(([, its]) => its)
    const rest = withoutWords(password, words)
    if (rest !== null && (await isGuessable(rest, GUESSES_AROUND_WORDS, words))) {
      return sources.filter(([, its]) => withoutWords(password, its) !== null).map(([fault]) => fault)
    }
    return (await isGuessable(password.normalize('NFC'), guessesNeeded(password), words))
      ? ['easily_guessed']
      : []
  }

  return {
    minLength: deps.minLength,
    async check(password, { email, hasSecondFactor = false }) {
      const minLength = hasSecondFactor ? MIN_LENGTH_WITH_SECOND_FACTOR : deps.minLength
      const refuse = (reasons: readonly PasswordFault[]) => {
        const detail = reasons.map((reason) => ADVICE[reason] ?? lengthRule(minLength)).join(' ')
        return new Problem('password_too_weak', { reasons, detail })
      }
      if (isTooLong(password)) throw refuse(['too_long'])
      const reasons: PasswordFault[] = []
      if (lengthOf(password) < minLength) reasons.push('too_short')
      if ((canonicalAddress(password) ?? password) === email) reasons.push('same_as_email')
      if (await commonPasswords.has(password)) reasons.push('common')
      if (reasons.length === 0) reasons.push(...(await guessableParts(password, email)))
      if (reasons.length > 0) throw refuse(reasons)
      if (await breached.has(password)) throw refuse(['breached'])
    },
    checkLength(password) {
      if (isTooLong(password) || lengthOf(password) >= deps.minLength) return
      const detail = `Without a second factor, your password needs at least ${deps.minLength} characters. Change it first.`
      throw new Problem('password_too_weak', { reasons: ['too_short'], detail })
    },
  }
}

/** The advice for each fault; for a wrong length it is the rule. */
const ADVICE: { [F in PasswordFault]?: string } = {
  same_as_email: 'Do not use your e-mail address as your password.',
  based_on_email: 'Do not build your password around your e-mail address.',
  based_on_app_name: 'Do not build your password around the name of this service.',
  easily_guessed:
    'This password is easily guessed: it repeats itself, follows a pattern, or is a common word with little around it. ' +
    'Use several unrelated words.',
  common: 'This is one of the commonest passwords, so it is easily guessed.',
  breached: 'This password appears in a list from a breach elsewhere, so it is easily guessed.',
}

// Five random characters, or an ordinary ending.
const GUESSES_AROUND_WORDS = 1e6
const MAX_GUESSES_NEEDED = 1e7
/** A random password takes ten to the power of its length by the same estimate: far more, so none is refused. */
const guessesNeeded = (password: string) => Math.min(10 ** (lengthOf(password) - 3), MAX_GUESSES_NEEDED)

const lengthRule = (minLength: number) => `Use ${minLength} to ${PASSWORD_MAX_LENGTH} characters.`
const lengthOf = (password: string) => [...password.normalize('NFC')].length
const isTooLong = (password: string) =>
  password.length > MAX_UNITS || lengthOf(password) > PASSWORD_MAX_LENGTH
