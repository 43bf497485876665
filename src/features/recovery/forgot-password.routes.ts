import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { AnyQuery, FormQuery } from '../../http/link-page.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import {
  alert,
  consumes,
  Page,
  type PageContent,
  type PageWriter,
  pageWriter,
  sendPage,
  sideLink,
} from '../../http/page.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, strict } from '../../http/schemas.ts'
import { shownAddress } from '../../platform/email-address.ts'
import { escapeHtml } from '../../platform/html.ts'
import { type RequestPasswordResetUses, requestPasswordReset } from './request-password-reset.ts'

export const FORGOT_PASSWORD = '/auth/forgot-password'

/** The page where people ask for a reset link. */
export const forgotPasswordPage: FastifyPluginAsyncTypebox<RequestPasswordResetUses> = async (app, uses) => {
  const tags = ['password reset']

  app.get(
    FORGOT_PASSWORD,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'showForgotPasswordPage',
        tags,
        summary: 'Show the page to request a link',
        description: 'A form for the address. Unknown parameters are ignored.',
        querystring: AnyQuery,
        response: { 200: Page },
      },
    },
    async (request, reply) => sendPage(reply, 200, form(pageWriter(request), '', '')),
  )

  app.post(
    FORGOT_PASSWORD,
    {
      config: { limit: 'request_password_reset', problemPages: { validation_failed: again } },
      schema: {
        operationId: 'submitForgotPasswordForm',
        tags,
        summary: 'Submit the form of that page',
        description: 'Apps call `POST /auth/request-password-reset` instead.',
        consumes,
        querystring: FormQuery,
        body: Type.Object({ email: Email }, strict),
        response: { 200: Page },
      },
    },
    async (request, reply) => {
      const email = canonicalEmail(request.body.email)
      await withMinimumDuration(() => requestPasswordReset(uses, email, contextOf(request)))
      const { say, path } = pageWriter(request)
      return sendPage(reply, 200, {
        title: say('forgot_password.done_title'),
        body: `<p>${say('forgot_password.done_text', { email: shownAddress(email) })}</p>
<p>${say('forgot_password.no_mail')}</p>${sideLink(say('forgot_password.again'), path(FORGOT_PASSWORD))}`,
      })
    },
  )
}

const again = (_problem: unknown, request: FastifyRequest): PageContent => {
  const { email } = (request.body ?? {}) as { email?: unknown }
  const writer = pageWriter(request)
  return form(writer, writer.say('forgot_password.wrong_email'), typeof email === 'string' ? email : '')
}

/** `fault` is HTML; `email` is any text. */
function form({ say, path }: PageWriter, fault: string, email: string): PageContent {
  return {
    title: say('forgot_password.title'),
    body: `<p>${say('forgot_password.text')}</p>${alert(fault)}
<form method="post" action="${path(FORGOT_PASSWORD)}"><label for="email">${say('forgot_password.email')}</label>
<input id="email" name="email" type="email" value="${escapeHtml(email)}" autocomplete="username" aria-describedby="fault" required><button type="submit">${say('forgot_password.button')}</button></form>`,
  }
}
