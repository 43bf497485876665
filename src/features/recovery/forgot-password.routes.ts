import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import {
  type Interactions,
  InteractionTicket,
  type OpenInteraction,
  withTicket,
} from '../../http/interactions.ts'
import { AnyQuery, FormQuery } from '../../http/link-page.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import {
  alert,
  button,
  consumes,
  field,
  form,
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
import { type RequestPasswordResetUses, requestPasswordReset } from './request-password-reset.ts'

export const FORGOT_PASSWORD = '/auth/forgot-password'

export type ForgotPasswordPageUses = RequestPasswordResetUses & { interactions: Interactions }

/** The page where people ask for a reset link. */
export const forgotPasswordPage: FastifyPluginAsyncTypebox<ForgotPasswordPageUses> = async (app, uses) => {
  const { interactions } = uses
  const tags = ['password reset']

  const again = (_problem: unknown, request: FastifyRequest): PageContent => {
    const { email } = (request.body ?? {}) as { email?: unknown }
    const writer = pageWriter(request)
    const text = typeof email === 'string' ? email : ''
    return formPage(writer, writer.say('forgot_password.wrong_email'), text, interactions.find(request))
  }

  app.get(
    FORGOT_PASSWORD,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'showForgotPasswordPage',
        tags,
        summary: 'Show the page to request a link',
        description:
          'A form for the address. The page to sign in on leads here with its `ticket`. Unknown parameters are ignored.',
        querystring: AnyQuery,
        response: { 200: Page },
      },
    },
    async (request, reply) => {
      const interaction = interactions.find(request)
      const page = formPage(pageWriter(request), '', interaction?.loginHint ?? '', interaction)
      return sendPage(reply, 200, page)
    },
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
        body: Type.Object({ email: Email, ticket: Type.Optional(InteractionTicket) }, strict),
        response: { 200: Page },
      },
    },
    async (request, reply) => {
      const email = canonicalEmail(request.body.email)
      await withMinimumDuration(() => requestPasswordReset(uses, email, contextOf(request)))
      const interaction = interactions.find(request)
      if (interaction) interactions.keep(request, reply, interaction, email)
      const { say, path } = pageWriter(request)
      const further = path(interaction ? withTicket(FORGOT_PASSWORD, interaction.ticket) : FORGOT_PASSWORD)
      return sendPage(reply, 200, {
        title: say('forgot_password.done_title'),
        body: `<p>${say('forgot_password.done_text', { email: shownAddress(email) })}</p>
<p>${say('forgot_password.no_mail')}</p>${sideLink(say('forgot_password.again'), further)}`,
      })
    },
  )
}

/** `fault` is HTML; `email` is any text. */
function formPage(
  { say, path }: PageWriter,
  fault: string,
  email: string,
  interaction: OpenInteraction | null,
): PageContent {
  return {
    title: say('forgot_password.title'),
    body: `<p>${say('forgot_password.text')}</p>${alert(fault)}
${form({
  action: path(FORGOT_PASSWORD),
  hidden: interaction ? { ticket: interaction.ticket } : {},
  fields: field({
    name: 'email',
    label: say('forgot_password.email'),
    type: 'email',
    value: email,
    autocomplete: 'username',
    isInvalid: fault !== '',
  }),
  buttons: button(say('forgot_password.button')),
})}`,
  }
}
