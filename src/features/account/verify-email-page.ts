import type { FastifyReply } from 'fastify'
import { MIN_LENGTH_WITH_SECOND_FACTOR } from '../../core/passwords/passwords.ts'
import { sendPage } from '../../http/page.ts'
import { escapeHtml } from '../../platform/html.ts'

export interface ProofPage {
  action: string
  /** Of the mailed link. */
  token: string
  /** What was wrong with the last attempt, as text. */
  fault: string | undefined
  /** The rule for new passwords, as text. */
  rule: string
}

/** Asks for the password of the registration, or for a new one. Works without JavaScript. */
export function proofPage(
  reply: FastifyReply,
  status: number,
  { action, token, fault, rule }: ProofPage,
): FastifyReply {
  const form = (field: string, button: string) =>
    `<form method="post" action="${action}"><input type="hidden" name="token" value="${escapeHtml(token)}">${field}
<button type="submit">${button}</button></form>`
  const known = `<label for="password">Password that you registered with</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>`
  const chosen = `<label for="new_password">New password</label>
<input id="new_password" name="new_password" type="password" autocomplete="new-password" minlength="${MIN_LENGTH_WITH_SECOND_FACTOR}" required>`
  return sendPage(
    reply,
    status,
    'One more step',
    `${fault ? `<p><strong>${escapeHtml(fault)}</strong></p>` : ''}
<p>This browser did not register. Enter the password that you chose then:</p>
${form(known, 'Confirm')}
<p>You did not choose one, or do not know it? Somebody else may have registered with your address. Choose your own password, and the account is yours. ${escapeHtml(rule)}</p>
${form(chosen, 'Use this password')}`,
  )
}
