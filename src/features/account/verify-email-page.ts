import type { FastifyRequest } from 'fastify'
import { accountField, alert, type PageContent, type PageWriter, tokenForm } from '../../http/page.ts'
import { newPasswordField } from '../../http/password-field.ts'

export interface ProofPage {
  /** Where its forms are sent, as HTML. */
  action: string
  /** Of the mailed link. */
  token: string
  /** Of the registration, as people read it. */
  email: string
  /** What was wrong with the last attempt, as HTML, and with which field. */
  fault?: { field: 'password' | 'new_password'; text: string } | undefined
  /** Of a new password, in characters. */
  minLength: number
}

/** Asks for the password of the registration, or for a new one. Works without JavaScript. */
export function proofPage(
  writer: PageWriter,
  { action, token, email, fault, minLength }: ProofPage,
): PageContent {
  const { say } = writer
  const faultOf = (field: string) => (fault?.field === field ? fault.text : '')
  const known = `${accountField(writer, email, 'known')}
<label for="password">${say('registration_proof.password')}</label>
<input id="password" name="password" type="password" autocomplete="current-password" aria-describedby="fault-known" required>
${alert(faultOf('password'), 'fault-known')}`
  const chosen = `${accountField(writer, email, 'new')}
${newPasswordField(writer, { name: 'new_password', minLength, fault: faultOf('new_password'), isNewAccount: true })}`
  return {
    title: say('registration_proof.title'),
    body: `<p>${say('registration_proof.text')}</p>
${tokenForm({ action, token, fields: known, button: say('registration_proof.button') })}
<p>${say('registration_proof.other_text')}</p>
${tokenForm({ action, token, fields: chosen, button: say('registration_proof.other_button') })}`,
  }
}

/** A text that a form has sent; the empty string without one. */
export function sent({ body }: FastifyRequest, name: 'token' | 'password' | 'new_password'): string {
  const text = (body as Record<string, unknown> | undefined)?.[name]
  return typeof text === 'string' ? text : ''
}
