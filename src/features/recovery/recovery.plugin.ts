import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox, TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { MIN_LENGTH_WITH_SECOND_FACTOR } from '../../core/passwords/passwords.ts'
import { isProblem } from '../../core/problems/problems.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { confirmPage, consumes, isForm, Page, sendPage } from '../../http/page.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, NoContent, OneTimeToken, Password, strict } from '../../http/schemas.ts'
import { escapeHtml } from '../../platform/html.ts'
import { type RequestPasswordResetUses, requestPasswordReset } from './request-password-reset.ts'
import { type ResetPasswordUses, resetPassword } from './reset-password.ts'

/** Recovery of a forgotten password: request a link, set a new password. */
export const recovery: FastifyPluginAsyncTypebox<RequestPasswordResetUses & ResetPasswordUses> = async (
  app,
  uses,
) => {
  const tags = ['password reset']

  app.post(
    '/auth/request-password-reset',
    {
      config: { limit: 'request_password_reset' },
      schema: {
        tags,
        summary: 'Request a link to reset the password',
        body: Type.Object({ email: Email }, strict),
        response: { 202: Type.Object({ status: Type.Literal('reset_sent') }) },
      },
    },
    async (request, reply) => {
      const email = canonicalEmail(request.body.email)
      await withMinimumDuration(() => requestPasswordReset(uses, email, contextOf(request)))
      return reply.status(202).send({ status: 'reset_sent' as const })
    },
  )

  await app.register(async (scope) => {
    // Forms are accepted only here, so that the pages work without JavaScript.
    await scope.register(formbody)
    const pages = scope.withTypeProvider<TypeBoxTypeProvider>()
    pages.get(
      '/auth/forgot-password',
      {
        config: { limit: 'reset_password' },
        schema: { tags, summary: 'Show the page to request a link', response: { 200: Page } },
      },
      async (_request, reply) =>
        sendPage(
          reply,
          200,
          'Forgot your password?',
          `<p>Enter your e-mail address, and we will send you a link to choose a new password.</p>
<form method="post" action="/auth/forgot-password"><label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="email" required><button type="submit">Send the link</button></form>`,
        ),
    )

    pages.post(
      '/auth/forgot-password',
      {
        config: { limit: 'request_password_reset' },
        schema: {
          tags,
          summary: 'Submit the form of that page',
          description: 'Apps call `POST /auth/request-password-reset` instead.',
          consumes,
          body: Type.Object({ email: Email }, strict),
          response: { 200: Page },
        },
      },
      async (request, reply) => {
        const email = canonicalEmail(request.body.email)
        await withMinimumDuration(() => requestPasswordReset(uses, email, contextOf(request)))
        return sendPage(
          reply,
          200,
          'Check your e-mail',
          '<p>If there is an account with that address, we have sent it a link.</p>',
        )
      },
    )

    pages.get(
      '/auth/reset-password',
      {
        config: { limit: 'reset_password' },
        schema: {
          tags,
          summary: 'Show the page of a reset link',
          querystring: Type.Object({ token: OneTimeToken }, strict),
          response: { 200: Page },
        },
      },
      async (request, reply) => form(reply, request.query.token, ''),
    )

    pages.post(
      '/auth/reset-password',
      {
        config: { limit: 'reset_password' },
        schema: {
          tags,
          summary: 'Set a new password',
          description: 'Ends every session of the account. A form gets a page in response; JSON gets 204.',
          consumes,
          body: Type.Object({ token: OneTimeToken, password: Password }, strict),
          response: { 200: Page, 204: NoContent },
          problems: ['token_invalid', 'password_too_weak', 'overloaded', 'revocation_pending'],
        },
      },
      async (request, reply) => {
        const fromPage = isForm(request)
        try {
          await resetPassword(uses, request.body, contextOf(request))
        } catch (error) {
          if (!fromPage) throw error
          if (isProblem(error, 'password_too_weak'))
            return form(reply, request.body.token, error.members.detail)
          if (isProblem(error, 'revocation_pending')) return changed(reply)
          if (!isProblem(error, 'token_invalid')) throw error
          return sendPage(
            reply,
            400,
            'This link no longer works',
            '<p>It is wrong, used or expired. Request a new one.</p>',
          )
        }
        if (fromPage) return changed(reply)
        return reply.status(204).send(null)
      },
    )
  })

  const changed = (reply: Parameters<typeof sendPage>[0]) =>
    sendPage(
      reply,
      200,
      'Your password was changed',
      '<p>You are signed out everywhere. Sign in with the new password.</p>',
    )

  function form(reply: Parameters<typeof confirmPage>[0], token: string, fault: string) {
    return confirmPage(reply, {
      title: 'Choose a new password',
      text: fault
        ? `<strong>${escapeHtml(fault)}</strong>`
        : `It replaces the old one and signs you out everywhere. ${uses.passwordPolicy.rule}`,
      action: '/auth/reset-password',
      button: 'Change password',
      token,
      fields: `<label for="password">New password</label><input id="password" name="password" type="password" autocomplete="new-password" minlength="${MIN_LENGTH_WITH_SECOND_FACTOR}" required>`,
    })
  }
}
