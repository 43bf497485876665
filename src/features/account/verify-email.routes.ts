import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isProblem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { confirmPage, consumes, Page, sendPage } from '../../http/page.ts'
import { contextOf } from '../../http/request-context.ts'
import { OneTimeToken, Password, RegistrationToken, strict } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { wantsPage } from '../../http/wants-page.ts'
import { type VerifyEmailUses, verifyEmail } from './verify-email.ts'
import { proofPage } from './verify-email-page.ts'

export type VerifyEmailRoutesUses = VerifyEmailUses &
  Uses<'passwordPolicy'> & { origins: TrustedOrigins; cookies: SessionCookies }

const PATH = '/auth/verify-email'

const VerifyBody = Type.Object(
  {
    token: OneTimeToken,
    registration_token: Type.Optional(RegistrationToken),
    password: Type.Optional(Password),
    new_password: Type.Optional(Password),
  },
  strict,
)
const Verified = {
  description: 'The address is verified, and the account exists',
  content: {
    'application/json': { schema: Type.Object({ status: Type.Literal('verified') }) },
    ...Page.content,
  },
}

/** The link that makes an account of a registration, and its page. */
export const verifyEmailRoutes: FastifyPluginAsyncTypebox<VerifyEmailRoutesUses> = async (app, uses) => {
  const { origins, cookies, passwordPolicy } = uses
  const tags = ['account']
  // Forms are accepted only on these routes.
  await app.register(formbody)
  // A form that is posted from the page then says its origin, so that its cookie counts.
  const withOrigin = (reply: FastifyReply) => reply.header('referrer-policy', 'same-origin')

  app.get(
    PATH,
    {
      config: { limit: 'verify_email' },
      schema: {
        tags,
        summary: 'Show the page of the verification link',
        description: 'The page shows one button. Opening it changes nothing and does not check the token.',
        querystring: Type.Object({ token: OneTimeToken }),
        response: { 200: Page },
      },
    },
    async (request, reply) =>
      confirmPage(withOrigin(reply), {
        title: 'Confirm your e-mail address',
        text: 'Press the button if you registered. If you did not, close this page.',
        button: 'Confirm',
        action: PATH,
        token: request.query.token,
      }),
  )

  app.post(
    PATH,
    {
      config: { limit: 'verify_email' },
      schema: {
        tags,
        summary: 'Verify an e-mail address',
        description:
          'Makes the account. The link has to be used by the one who registered: send the `registration_token`, or its ' +
          'cookie, or the `password` of the registration. The owner of the mailbox can instead choose a ' +
          '`new_password`. If several are sent, `new_password` counts, then `password`. The link of an account that ' +
          'exists is answered with the same success until it expires. A form gets a page in response; JSON gets JSON.',
        consumes,
        body: VerifyBody,
        response: { 200: Verified },
        problems: ['token_invalid', 'registration_proof_required', 'password_too_weak', 'overloaded'],
      },
    },
    async (request, reply) => {
      const { token, registration_token, password, new_password: newPassword } = request.body
      const registrationToken = registration_token ?? origins.cookieOf(request, cookies.registration.name)
      const isPage = wantsPage(request)
      try {
        const proof = { registrationToken, password, newPassword }
        await verifyEmail(uses, { link: token, ...proof }, contextOf(request))
      } catch (error) {
        if (!isPage) throw error
        if (isProblem(error, 'registration_proof_required')) {
          const fault = password === undefined ? undefined : 'This is not the password of the registration.'
          return proofPage(withOrigin(reply), 403, { action: PATH, token, fault, rule: passwordPolicy.rule })
        }
        if (isProblem(error, 'password_too_weak')) {
          const fault = error.members.detail
          return proofPage(withOrigin(reply), 400, { action: PATH, token, fault, rule: passwordPolicy.rule })
        }
        if (!isProblem(error, 'token_invalid')) throw error
        const text = '<p>It is wrong, used or expired. Request a new one where you signed up.</p>'
        return sendPage(reply, 400, 'This link no longer works', text)
      }
      reply.clearCookie(cookies.registration.name, cookies.registration.cleared)
      if (!isPage) return reply.send({ status: 'verified' as const })
      const text = '<p>You can close this page and sign in.</p>'
      return sendPage(reply, 200, 'Your address is confirmed', text)
    },
  )
}
