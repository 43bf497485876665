import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'
import { brokenLink, LinkQuery } from '../../http/link-page.ts'
import { confirmPage, consumes, Page, sendPage, signInButton } from '../../http/page.ts'
import type { ProblemPages } from '../../http/problem-page.ts'
import { contextOf } from '../../http/request-context.ts'
import { OneTimeToken, Password, RegistrationToken, strict } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { wantsPage } from '../../http/wants-page.ts'
import { checkVerificationLink, type VerifyEmailUses, verifyEmail } from './verify-email.ts'
import { proofPage, sayOrigin, sent } from './verify-email-page.ts'

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
  const broken = brokenLink({ stale: 'Register again, or ask for another mail where you registered.' })

  const askForProof = (request: FastifyRequest, reply: FastifyReply, fault?: string) => {
    sayOrigin(reply)
    return proofPage({ action: PATH, token: sent(request, 'token'), fault, rule: passwordPolicy.rule })
  }
  const problemPages: ProblemPages = {
    token_invalid: broken,
    // Either the link was cut off, or a password is longer than any rule allows.
    validation_failed: (problem, request, reply) => {
      const isPassword = problem.members.errors?.some(({ pointer }) => pointer.endsWith('password'))
      return isPassword && sent(request, 'token')
        ? askForProof(request, reply, 'This password cannot be used.')
        : broken(problem, request, reply)
    },
    registration_proof_required: (_problem, request, reply) =>
      askForProof(request, reply, sent(request, 'password') ? NOT_THE_PASSWORD : undefined),
    password_too_weak: ({ members }, request, reply) => askForProof(request, reply, members.detail),
    overloaded: (_problem, request, reply) =>
      askForProof(request, reply, 'We are very busy. Try again in a moment.'),
  }

  app.get(
    PATH,
    {
      config: { limit: 'public', problemPages },
      schema: {
        tags,
        summary: 'Show the page of the verification link',
        description: 'The page shows one button. Opening it changes nothing. Unknown parameters are ignored.',
        querystring: LinkQuery,
        response: { 200: Page },
        problems: ['token_invalid'],
      },
    },
    async (request, reply) => {
      const { token } = request.query
      await checkVerificationLink(uses, token)
      return confirmPage(sayOrigin(reply), {
        title: 'Confirm your e-mail address',
        text: 'Press the button if you registered. If you did not, close this page.',
        button: 'Confirm',
        action: PATH,
        token,
      })
    },
  )

  app.post(
    PATH,
    {
      config: { limit: 'verify_email', problemPages },
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
      const { token: link, registration_token, password, new_password: newPassword } = request.body
      const registrationToken = registration_token ?? origins.cookieOf(request, cookies.registration.name)
      const proof = { registrationToken, password, newPassword }
      await verifyEmail(uses, { link, ...proof }, contextOf(request))
      reply.clearCookie(cookies.registration.name, cookies.registration.cleared)
      if (!wantsPage(request)) return reply.send({ status: 'verified' as const })
      const text = `<p>Your account is ready.</p>${signInButton(reply)}`
      return sendPage(reply, 200, 'Your address is confirmed', text)
    },
  )
}

const NOT_THE_PASSWORD = 'This is not the password of the registration.'
