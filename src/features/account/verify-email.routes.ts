import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'
import { addressPage } from '../../http/address-page.ts'
import type { Interactions } from '../../http/interactions.ts'
import { brokenLink, FormQuery, LinkQuery } from '../../http/link-page.ts'
import { confirmation, consumes, Page, pageWriter, sendPage } from '../../http/page.ts'
import { passwordAdvice } from '../../http/password-field.ts'
import type { ProblemPages } from '../../http/problem-page.ts'
import { contextOf } from '../../http/request-context.ts'
import { OneTimeToken, Password, RegistrationToken, strict } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { wantsPage } from '../../http/wants-page.ts'
import { shownAddress } from '../../platform/email-address.ts'
import { resendVerification } from './resend-verification.ts'
import { checkVerificationLink, type VerifyEmailUses, verifyEmail } from './verify-email.ts'
import { type ProofPage, proofPage, sent } from './verify-email-page.ts'

export type VerifyEmailRoutesUses = VerifyEmailUses &
  Uses<'passwordPolicy' | 'transact'> & {
    origins: TrustedOrigins
    cookies: SessionCookies
    interactions: Interactions
  }

const PATH = '/auth/verify-email'
const NEW_LINK = '/auth/new-verification-link'

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
  const broken = brokenLink('verify_email.broken', {
    label: 'verify_email.new_link',
    path: NEW_LINK,
    orSignIn: true,
  })
  await addressPage(app, {
    path: NEW_LINK,
    texts: 'new_verification',
    limit: 'resend_verification',
    tags,
    operations: { show: 'showNewVerificationLinkPage', submit: 'submitNewVerificationLinkForm' },
    summary: 'request a new verification link',
    instead: '/auth/resend-verification',
    interactions: uses.interactions,
    send: (email, context) => resendVerification(uses, email, context),
  })

  const { minLength } = passwordPolicy

  async function askForProof(request: FastifyRequest, fault?: ProofPage['fault']) {
    const writer = pageWriter(request)
    const token = sent(request, 'token')
    const email = shownAddress(await checkVerificationLink(uses, token))
    return proofPage(writer, { action: writer.path(PATH), token, email, fault, minLength })
  }
  /** What was wrong with the password that was sent. */
  const refused = (request: FastifyRequest, text: string) =>
    askForProof(request, { field: sent(request, 'new_password') ? 'new_password' : 'password', text })
  const problemPages: ProblemPages = {
    token_invalid: broken,
    // Either the link was cut off, or a password is longer than any rule allows.
    validation_failed: (problem, request) => {
      const isPassword = problem.members.errors?.some(({ pointer }) => pointer.endsWith('password'))
      return isPassword && sent(request, 'token')
        ? refused(request, pageWriter(request).say('password.unusable'))
        : broken(problem, request)
    },
    registration_proof_required(_problem, request) {
      if (sent(request, 'password') === '') return askForProof(request)
      return refused(request, pageWriter(request).say('registration_proof.wrong_password'))
    },
    password_too_weak: ({ members }, request) =>
      refused(request, passwordAdvice(pageWriter(request), members, minLength, true)),
    overloaded: (_problem, request) => refused(request, pageWriter(request).say('password.busy')),
  }

  app.get(
    PATH,
    {
      config: { limit: 'public', problemPages },
      schema: {
        operationId: 'showVerifyEmailPage',
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
      const { say, path } = pageWriter(request)
      const content = confirmation({
        title: say('verify_email.title'),
        text: say('verify_email.text'),
        button: say('verify_email.button'),
        action: path(PATH),
        token,
      })
      return sendPage(reply, 200, content)
    },
  )

  app.post(
    PATH,
    {
      config: { limit: 'verify_email', problemPages },
      schema: {
        operationId: 'verifyEmail',
        tags,
        summary: 'Verify an e-mail address',
        description:
          'Makes the account. The link has to be used by the one who registered: send the `registration_token`, or its ' +
          'cookie, or the `password` of the registration. The owner of the mailbox can instead choose a ' +
          '`new_password`. If several are sent, `new_password` counts, then `password`. The link of an account that ' +
          'exists is answered with the same success until it expires. A form gets a page in response; JSON gets JSON.',
        consumes,
        querystring: FormQuery,
        body: VerifyBody,
        response: { 200: Verified },
        problems: ['token_invalid', 'registration_proof_required', 'password_too_weak', 'overloaded'],
      },
    },
    async (request, reply) => {
      const { token: link, registration_token, password, new_password: newPassword } = request.body
      const registrationTokens = registration_token
        ? [registration_token]
        : origins.cookiesOf(request, cookies.registration)
      const proof = { registrationTokens, password, newPassword }
      await verifyEmail(uses, { link, ...proof }, contextOf(request))
      cookies.registration.expire(reply)
      if (!wantsPage(request)) return reply.send({ status: 'verified' as const })
      const writer = pageWriter(request)
      const title = writer.say('verify_email.done_title')
      const body = `<p>${writer.say('verify_email.done_text')}</p>${await uses.interactions.wayOn(request)}`
      return sendPage(reply, 200, { title, body })
    },
  )
}
