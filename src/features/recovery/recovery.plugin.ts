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

/** A forgotten password: ask for a link, set a new one. */
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
        summary: 'Ask for a link',
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
    // Forms are welcome here only: the page works without JavaScript.
    await scope.register(formbody)
    const pages = scope.withTypeProvider<TypeBoxTypeProvider>()
    pages.get(
      '/auth/forgot-password',
      {
        config: { limit: 'reset_password' },
        schema: { tags, summary: 'The page where a person asks for a link', response: { 200: Page } },
      },
      async (_request, reply) =>
        sendPage(
          reply,
          200,
          'Forgot your password?',
          `<p>Type your address, and a link to choose a new one is mailed to you.</p>
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
          summary: 'The form of that page',
          description: 'An app calls `POST /auth/request-password-reset` instead.',
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
          'Look into your mail',
          '<p>If there is an account with that address, a link is on its way.</p>',
        )
      },
    )

    pages.get(
      '/auth/reset-password',
      {
        config: { limit: 'reset_password' },
        schema: {
          tags,
          summary: 'The page a reset link opens',
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
          description: 'Signs out everywhere. The form of the page gets a page back, JSON gets a 204.',
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
            '<p>It is wrong, used or expired. Ask for a new one.</p>',
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
      'Your password is changed',
      '<p>You are signed out everywhere. Sign in with the new password.</p>',
    )

  function form(reply: Parameters<typeof confirmPage>[0], token: string, fault: string) {
    return confirmPage(reply, {
      title: 'Choose a new password',
      text: fault
        ? `<strong>${escapeHtml(fault)}</strong>`
        : `It replaces the old one, and signs you out everywhere. ${uses.passwordPolicy.rule}`,
      action: '/auth/reset-password',
      button: 'Change password',
      token,
      fields: `<label for="password">New password</label><input id="password" name="password" type="password" autocomplete="new-password" minlength="${MIN_LENGTH_WITH_SECOND_FACTOR}" required>`,
    })
  }
}
