import type { FastifyReply, FastifyRequest } from 'fastify'
import { MIN_LENGTH_WITH_SECOND_FACTOR } from '../../core/passwords/passwords.ts'
import type { PageContent } from '../../http/page.ts'
import { escapeHtml } from '../../platform/html.ts'

export interface ProofPage {
  action: string
  /** Of the mailed link. */
  token: string
  /** What was wrong with the last attempt, as text. */
  fault?: string | undefined
  /** The rule for new passwords, as text. */
  rule: string
}

/** Lets the form of a page say its origin when it is posted: only then does its cookie count. */
export const sayOrigin = (reply: FastifyReply): FastifyReply => reply.header('referrer-policy', 'same-origin')

/** Asks for the password of the registration, or for a new one. Works without JavaScript. */
export function proofPage({ action, token, fault, rule }: ProofPage): PageContent {
  const form = (field: string, button: string) =>
    `<form method="post" action="${action}"><input type="hidden" name="token" value="${escapeHtml(token)}">${field}
<button type="submit">${button}</button></form>`
  const known = `<label for="password">Password that you registered with</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>`
  const chosen = `<label for="new_password">New password</label>
<input id="new_password" name="new_password" type="password" autocomplete="new-password" minlength="${MIN_LENGTH_WITH_SECOND_FACTOR}" aria-describedby="rule" required>
<p class="soft" id="rule">${escapeHtml(rule)}</p>`
  return {
    title: 'One more step',
    body: `${fault ? `<p class="alert" role="alert">${escapeHtml(fault)}</p>` : ''}
<p>This browser did not register. Enter the password that you chose then:</p>
${form(known, 'Confirm')}
<p>You did not choose one, or do not know it? Somebody else may have registered with your address. Choose your own password, and the account is yours.</p>
${form(chosen, 'Use this password')}`,
  }
}

/** A text that a form has sent; the empty string without one. */
export function sent({ body }: FastifyRequest, name: 'token' | 'password'): string {
  const text = (body as Record<string, unknown> | undefined)?.[name]
  return typeof text === 'string' ? text : ''
}
