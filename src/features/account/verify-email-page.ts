import type { FastifyReply, FastifyRequest } from 'fastify'
import { alert, type PageContent, type PageWriter, tokenForm } from '../../http/page.ts'
import { newPasswordField } from '../../http/password-field.ts'

export interface ProofPage {
  /** Where its forms are sent, as HTML. */
  action: string
  /** Of the mailed link. */
  token: string
  /** What was wrong with the last attempt, as HTML. */
  fault?: string | undefined
  /** Of a new password, in characters. */
  minLength: number
}

/** Lets the form of a page say its origin when it is posted: only then does its cookie count. */
export const sayOrigin = (reply: FastifyReply): FastifyReply => reply.header('referrer-policy', 'same-origin')

/** Asks for the password of the registration, or for a new one. Works without JavaScript. */
export function proofPage(
  writer: PageWriter,
  { action, token, fault = '', minLength }: ProofPage,
): PageContent {
  const { say } = writer
  const known = `<label for="password">${say('registration_proof.password')}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>`
  const chosen = newPasswordField(writer, { name: 'new_password', minLength })
  return {
    title: say('registration_proof.title'),
    body: `${alert(fault)}
<p>${say('registration_proof.text')}</p>
${tokenForm({ action, token, fields: known, button: say('registration_proof.button') })}
<p>${say('registration_proof.other_text')}</p>
${tokenForm({ action, token, fields: chosen, button: say('registration_proof.other_button') })}`,
  }
}

/** A text that a form has sent; the empty string without one. */
export function sent({ body }: FastifyRequest, name: 'token' | 'password'): string {
  const text = (body as Record<string, unknown> | undefined)?.[name]
  return typeof text === 'string' ? text : ''
}
