import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { MIN_LENGTH_WITH_SECOND_FACTOR } from '../../core/passwords/passwords.ts'
import { isProblem } from '../../core/problems/problems.ts'
import type { PasswordFault } from '../../core/reasons/reasons.ts'
import { brokenLink, LinkQuery, usedLink } from '../../http/link-page.ts'
import {
  confirmation,
  consumes,
  Page,
  type PageContent,
  sendPage,
  sideLink,
  signInButton,
} from '../../http/page.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, OneTimeToken, Password, strict } from '../../http/schemas.ts'
import { wantsPage } from '../../http/wants-page.ts'
import { shownAddress } from '../../platform/email-address.ts'
import { escapeHtml } from '../../platform/html.ts'
import { FORGOT_PASSWORD } from './forgot-password.routes.ts'
import { readResetLink } from './read-reset-link.ts'
import { type ResetPasswordUses, resetPassword } from './reset-password.ts'

export type ResetPasswordRoutesUses = ResetPasswordUses

const RESET_PASSWORD = '/auth/reset-password'

/** The page of a reset link, and the call that sets the new password. */
export const resetPasswordRoutes: FastifyPluginAsyncTypebox<ResetPasswordUses> = async (app, uses) => {
  const tags = ['password reset']
  const refusals = { validation_failed: broken, token_invalid: broken, token_used: used }

  app.get(
    RESET_PASSWORD,
    {
      config: { limit: 'public', problemPages: refusals },
      schema: {
        tags,
        summary: 'Show the page of a reset link',
        description:
          'Says at once whether the link works. Opening it changes nothing. Unknown parameters are ignored.',
        querystring: LinkQuery,
        response: { 200: Page },
        problems: ['token_invalid', 'token_used'],
      },
    },
    async (request, reply) => {
      const { title, body } = await form(request.query.token)
      return sendPage(reply, 200, title, body)
    },
  )

  app.post(
    RESET_PASSWORD,
    {
      config: {
        limit: 'reset_password',
        problemPages: {
          ...refusals,
          validation_failed: invalid,
          password_too_weak: ({ members }, request) =>
            form(sentToken(request), members.detail, members.reasons),
          overloaded: (_problem, request) =>
            form(sentToken(request), 'We are very busy. Try again in a moment.'),
        },
      },
      schema: {
        tags,
        summary: 'Set a new password',
        description: 'Ends every session of the account. A form gets a page in response; JSON gets 204.',
        consumes,
        body: Type.Object({ token: OneTimeToken, password: Password }, strict),
        response: { 200: Page, 204: NoContent },
        problems: ['token_invalid', 'token_used', 'password_too_weak', 'overloaded', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      const isPage = wantsPage(request)
      await resetPassword(uses, request.body, contextOf(request)).catch((error: unknown) => {
        // The password is set; that some node has yet to end a session concerns no person.
        if (!isPage || !isProblem(error, 'revocation_pending')) throw error
      })
      if (!isPage) return reply.status(204).send(null)
      return sendPage(
        reply,
        200,
        'Your password was changed',
        `<p>You are signed out everywhere. Sign in with the new password.</p>${signInButton(reply)}`,
      )
    },
  )

  /** The form keeps the link, so that the person can try again. @throws `token_invalid`, `token_used`. */
  async function form(
    token: string,
    fault = '',
    reasons: readonly PasswordFault[] = [],
  ): Promise<PageContent> {
    const { email } = await readResetLink(uses, token)
    const { rule, minLength } = uses.passwordPolicy
    // The advice about a length is the rule itself.
    const saysRule = reasons.includes('too_short') || reasons.includes('too_long')
    return confirmation({
      title: 'Choose a new password',
      text: 'It replaces the old one and signs you out everywhere.',
      action: RESET_PASSWORD,
      button: 'Change password',
      token,
      // Without a name the address is not sent. It tells password managers whose password this is.
      fields: `<label for="username">Account</label>
<input id="username" type="text" value="${escapeHtml(shownAddress(email))}" autocomplete="username" readonly>
<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="${MIN_LENGTH_WITH_SECOND_FACTOR}" passwordrules="minlength: ${minLength};" aria-describedby="fault rule" required autofocus>
${fault ? `<p class="alert" role="alert" id="fault">${escapeHtml(fault)}</p>` : ''}${saysRule ? '' : `<p class="soft" id="rule">${rule}</p>`}`,
    })
  }

  /** Either the link was cut off, or the password is longer than any rule allows. */
  function invalid(problem: unknown, request: FastifyRequest, reply: FastifyReply) {
    const token = sentToken(request)
    return token === '' ? broken(problem, request, reply) : form(token, 'This password cannot be used.')
  }
}

/** The token of a form, or the empty string if the form has none that could be one. */
function sentToken({ body }: FastifyRequest): string {
  const { token } = (body ?? {}) as { token?: unknown }
  return typeof token === 'string' && token.length <= 200 ? token : ''
}

const broken = brokenLink({
  stale: 'Ask for a new one.',
  renew: { label: 'Ask for a new link', href: FORGOT_PASSWORD },
})

const used = usedLink(
  'It has set a new password for your account. Sign in with that password.',
  sideLink('I did not choose that password', FORGOT_PASSWORD),
)
