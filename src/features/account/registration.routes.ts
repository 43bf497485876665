import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { linkPage } from '../../http/link-page.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, Name, Password, strict } from '../../http/schemas.ts'
import { type RegisterUses, register } from './register.ts'
import { resendVerification, type VerifyEmailUses, verifyEmail } from './verify-email.ts'

export type RegistrationUses = RegisterUses & VerifyEmailUses

const RegisterBody = Type.Object({ email: Email, password: Password, name: Type.Optional(Name) }, strict)
const Sent = Type.Object({ status: Type.Literal('verification_sent') })

/** Registration, and verification of the address. */
export const registrationRoutes: FastifyPluginAsyncTypebox<RegistrationUses> = async (app, uses) => {
  const tags = ['account']

  app.post(
    '/auth/register',
    {
      config: { limit: 'register' },
      schema: {
        tags,
        summary: 'Create an account',
        description:
          'The response is the same whether or not the address already has an account. The mail explains the rest.',
        body: RegisterBody,
        response: { 202: Sent },
        problems: ['password_too_weak', 'overloaded'],
      },
    },
    async (request, reply) => {
      const { email, password, name } = request.body
      await register(uses, { email: canonicalEmail(email), password, name }, contextOf(request))
      return reply.status(202).send({ status: 'verification_sent' as const })
    },
  )

  app.post(
    '/auth/resend-verification',
    {
      config: { limit: 'resend_verification' },
      schema: {
        tags,
        summary: 'Send the verification mail again',
        body: Type.Object({ email: Email }, strict),
        response: { 202: Sent },
      },
    },
    async (request, reply) => {
      await withMinimumDuration(() => resendVerification(uses, canonicalEmail(request.body.email)))
      return reply.status(202).send({ status: 'verification_sent' as const })
    },
  )

  await linkPage(app, {
    path: '/auth/verify-email',
    limit: 'verify_email',
    tags,
    summary: 'Verify an e-mail address',
    ask: {
      title: 'Confirm your e-mail address',
      text: 'Press the button if you created this account. If you did not, close this page.',
      button: 'Confirm',
    },
    act: (token, context) => verifyEmail(uses, token, context),
    done: {
      title: 'Your address is confirmed',
      text: 'You can close this page and sign in.',
      status: 'verified',
    },
    stale: 'Request a new one where you signed up.',
  })
}
