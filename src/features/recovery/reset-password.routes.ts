import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { isProblem } from '../../core/problems/problems.ts'
import type { Interactions } from '../../http/interactions.ts'
import { brokenLink, FormQuery, LinkQuery, usedLink } from '../../http/link-page.ts'
import {
  accountField,
  confirmation,
  consumes,
  Page,
  type PageContent,
  pageWriter,
  sendPage,
  sideLink,
} from '../../http/page.ts'
import { newPasswordField, passwordAdvice } from '../../http/password-field.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, OneTimeToken, Password, strict } from '../../http/schemas.ts'
import { wantsPage } from '../../http/wants-page.ts'
import { shownAddress } from '../../platform/email-address.ts'
import { FORGOT_PASSWORD } from './forgot-password.routes.ts'
import { readResetLink } from './read-reset-link.ts'
import { type ResetPasswordUses, resetPassword } from './reset-password.ts'

export type ResetPasswordRoutesUses = ResetPasswordUses & { interactions: Interactions }

const RESET_PASSWORD = '/auth/reset-password'

/** The page of a reset link, and the call that sets the new password. */
export const resetPasswordRoutes: FastifyPluginAsyncTypebox<ResetPasswordRoutesUses> = async (app, uses) => {
  const tags = ['password reset']
  const { minLength } = uses.passwordPolicy
  const refusals = { validation_failed: broken, token_invalid: broken, token_used: used }

  app.get(
    RESET_PASSWORD,
    {
      config: { limit: 'public', problemPages: refusals },
      schema: {
        operationId: 'showResetPasswordPage',
        tags,
        summary: 'Show the page of a reset link',
        description:
          'Says at once whether the link works. Opening it changes nothing. Unknown parameters are ignored.',
        querystring: LinkQuery,
        response: { 200: Page },
        problems: ['token_invalid', 'token_used'],
      },
    },
    async (request, reply) => sendPage(reply, 200, await form(request, request.query.token)),
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
            form(request, sentToken(request), passwordAdvice(pageWriter(request), members, minLength)),
          overloaded: (_problem, request) =>
            form(request, sentToken(request), pageWriter(request).say('password.busy')),
        },
      },
      schema: {
        operationId: 'resetPassword',
        tags,
        summary: 'Set a new password',
        description: 'Ends every session of the account. A form gets a page in response; JSON gets 204.',
        consumes,
        querystring: FormQuery,
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
      const writer = pageWriter(request)
      const title = writer.say('reset_password.done_title')
      const body = `<p>${writer.say('reset_password.done_text')}</p>${await uses.interactions.wayOn(request)}`
      return sendPage(reply, 200, { title, body })
    },
  )

  /** The form keeps the link, so that the person can try again. `fault` is HTML. @throws `token_invalid`, `token_used`. */
  async function form(request: FastifyRequest, token: string, fault?: string): Promise<PageContent> {
    const { email } = await readResetLink(uses, token)
    const writer = pageWriter(request)
    const { say, path } = writer
    return confirmation({
      title: say('reset_password.title'),
      text: say('reset_password.text'),
      action: path(RESET_PASSWORD),
      button: say('reset_password.button'),
      token,
      fields: `${accountField(writer, shownAddress(email))}
${newPasswordField(writer, { name: 'password', minLength, fault })}`,
    })
  }

  /** Either the link was cut off, or the password is longer than any rule allows. */
  function invalid(problem: unknown, request: FastifyRequest) {
    const token = sentToken(request)
    return token === ''
      ? broken(problem, request)
      : form(request, token, pageWriter(request).say('password.unusable'))
  }
}

/** The token of a form, or the empty string if the form has none that could be one. */
function sentToken({ body }: FastifyRequest): string {
  const { token } = (body ?? {}) as { token?: unknown }
  return typeof token === 'string' && token.length <= 200 ? token : ''
}

const broken = brokenLink('reset_password.broken', {
  label: 'reset_password.new_link',
  path: FORGOT_PASSWORD,
})

const used = usedLink('reset_password.used', ({ say, path }) =>
  sideLink(say('reset_password.not_chosen'), path(FORGOT_PASSWORD)),
)
