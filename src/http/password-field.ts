import { MIN_LENGTH_WITH_SECOND_FACTOR, PASSWORD_MAX_LENGTH } from '../core/passwords/passwords.ts'
import type { MembersOf } from '../core/problems/problems.ts'
import type { PasswordFault } from '../core/reasons/reasons.ts'
import { alert, type PageWriter } from './page.ts'

export interface NewPasswordField {
  /** The name of the field. */
  name: string
  /** As HTML; by default that of a new password. */
  label?: string
  /** Without a second factor, in characters. */
  minLength: number
  /** What was wrong with the last attempt, as HTML. */
  fault?: string | undefined
  /** Whether there is no account yet, and so no second factor with which less would be enough. */
  isNewAccount?: boolean
}

/** A field for a new password, with its rule, and above that what was wrong with the last attempt. */
export function newPasswordField(
  writer: PageWriter,
  { name, label = writer.say('password.new'), minLength, fault = '', isNewAccount = false }: NewPasswordField,
): string {
  const rule = passwordRule(writer, minLength, isNewAccount)
  return `<label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="password" autocomplete="new-password" minlength="${MIN_LENGTH_WITH_SECOND_FACTOR}" passwordrules="minlength: ${minLength};" aria-describedby="fault rule"${fault && ' aria-invalid="true"'} required>
${alert(fault)}${fault.includes(rule) ? '' : `<p class="soft" id="rule">${rule}</p>`}`
}

/** The advice for each fault; for a wrong length it is the rule. */
export function passwordAdvice(
  writer: PageWriter,
  { reasons }: MembersOf<'password_too_weak'>,
  minLength: number,
  isNewAccount = false,
): string {
  const { say } = writer
  const advice = (fault: PasswordFault) =>
    fault === 'too_short' || fault === 'too_long'
      ? passwordRule(writer, minLength, isNewAccount)
      : say(`password.${fault}`)
  return [...new Set(reasons.map(advice))].join(' ')
}

function passwordRule({ say }: PageWriter, min: number, isNewAccount: boolean): string {
  const orFewer = say('password.length_with_second_factor', { min: MIN_LENGTH_WITH_SECOND_FACTOR })
  const rule = say('password.length', { min, max: PASSWORD_MAX_LENGTH })
  return !isNewAccount && min > MIN_LENGTH_WITH_SECOND_FACTOR ? `${rule} ${orFewer}` : rule
}
