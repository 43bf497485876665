import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, Name, Password, strict, Transport } from '../../http/schemas.ts'
import { spellName } from '../../platform/name.ts'
import { type RegisterUses, register } from './register.ts'
import { keepRegistrationToken } from './registration-token.ts'
import { resendVerification } from './resend-verification.ts'
import { type SignUpRoutesUses, signUpRoutes } from './sign-up.routes.ts'
import { type VerifyEmailRoutesUses, verifyEmailRoutes } from './verify-email.routes.ts'

export type RegistrationUses = RegisterUses & VerifyEmailRoutesUses & SignUpRoutesUses

const RegisterBody = Type.Object(
  { email: Email, password: Password, name: Type.Optional(Name), transport: Type.Optional(Transport) },
  strict,
)
const Sent = Type.Object({ status: Type.Literal('verification_sent') }, { title: 'VerificationSent' })
const Registered = Type.Object({
  ...Sent.properties,
  registration_token: Type.Optional(
    Type.String({
      description: 'Body transport only: proves to the next calls, for a day, that you have registered',
    }),
  ),
})

/** Registration, and verification of the address. */
export const registrationRoutes: FastifyPluginAsyncTypebox<RegistrationUses> = async (app, uses) => {
  const { origins } = uses
  const tags = ['account']
  await app.register(cookie, { hook: false })

  app.post(
    '/auth/register',
    {
      config: { limit: 'register' },
      schema: {
        operationId: 'register',
        tags,
        summary: 'Register an address',
        description:
          'The response is the same whether or not the address has an account. The mail explains the rest. The account ' +
          'is made by the link in it, together with the registration token, which is set as a cookie by default and ' +
          'returned in the body with body transport, or with the password.',
        body: RegisterBody,
        response: { 202: Registered },
        problems: ['password_too_weak', 'origin_not_allowed', 'overloaded'],
      },
    },
    async (request, reply) => {
      const { email, password, name, transport = 'cookie' } = request.body
      if (transport === 'cookie') origins.refuseForeign(request)
      const registration = {
        email: canonicalEmail(email),
        password,
        name: name === undefined ? undefined : spellName(name),
      }
      const token = await register(uses, registration, contextOf(request))
      const status = 'verification_sent' as const
      if (transport === 'body') return reply.status(202).send({ status, registration_token: token })
      keepRegistrationToken(reply, uses, token)
      return reply.status(202).send({ status })
    },
  )

  app.post(
    '/auth/resend-verification',
    {
      config: { limit: 'resend_verification' },
      schema: {
        operationId: 'resendVerification',
        tags,
        summary: 'Send the verification mail again',
        description: 'After a few mails within an hour, the next one follows some minutes later.',
        body: Type.Object({ email: Email }, strict),
        response: { 202: Sent },
      },
    },
    async (request, reply) => {
      const email = canonicalEmail(request.body.email)
      await withMinimumDuration(() => resendVerification(uses, email, contextOf(request)))
      return reply.status(202).send({ status: 'verification_sent' as const })
    },
  )

  await app.register(verifyEmailRoutes, uses)
  await app.register(signUpRoutes, uses)
}
