import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { AnyQuery } from '../../http/link-page.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { consumes, Page, type PageContent, sendPage, sideLink } from '../../http/page.ts'
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
        tags,
        summary: 'Show the page to request a link',
        querystring: AnyQuery,
        response: { 200: Page },
      },
    },
    async (_request, reply) => {
      const { title, body } = form('', '')
      return sendPage(reply, 200, title, body)
    },
  )

  app.post(
    FORGOT_PASSWORD,
    {
      config: { limit: 'request_password_reset', problemPages: { validation_failed: again } },
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
        `<p>If there is an account with the address <strong>${escapeHtml(shownAddress(email))}</strong>, we have sent it a link.</p>
<p>If nothing arrives within a few minutes, look among the unwanted mail.</p>${sideLink('Use another address, or send it again', FORGOT_PASSWORD)}`,
      )
    },
  )
}

const again = (_problem: unknown, { body }: FastifyRequest): PageContent => {
  const { email } = (body ?? {}) as { email?: unknown }
  return form('This is not an e-mail address.', typeof email === 'string' ? email : '')
}

function form(fault: string, email: string): PageContent {
  const alert = fault && `<p class="alert" role="alert">${fault}</p>`
  return {
    title: 'Forgot your password?',
    body: `<p>Enter your e-mail address, and we will send you a link to choose a new password.</p>${alert}
<form method="post" action="${FORGOT_PASSWORD}"><label for="email">E-mail address</label>
<input id="email" name="email" type="email" value="${escapeHtml(email)}" autocomplete="username" required><button type="submit">Send the link</button></form>`,
  }
}
