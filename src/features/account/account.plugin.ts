import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Authenticate } from '../../http/authenticate.ts'
import { linkPage } from '../../http/link-page.ts'
import { steady } from '../../http/minimum-duration.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { requestContext } from '../../http/request-origin.ts'
import {
  canonicalEmail,
  Email,
  Name,
  NoContent,
  Password,
  STEP_UP,
  StepUpBody,
  stepUpProblems,
  strict,
  User,
} from '../../http/schemas.ts'
import { type ChangePasswordDeps, changePassword } from './change-password.ts'
import { deleteAccount } from './delete-account.ts'
import { createProfiles } from './profile.ts'
import { type RegisterDeps, register } from './register.ts'
import { resendVerification, type VerifyEmailDeps, verifyEmail } from './verify-email.ts'

export interface AccountsDeps extends RegisterDeps, VerifyEmailDeps, ChangePasswordDeps {
  authenticate: Authenticate
  rateLimits: RateLimits
}

const RegisterBody = Type.Object({ email: Email, password: Password, name: Type.Optional(Name) }, strict)
const Sent = Type.Object({ status: Type.Literal('verification_sent') })

/** Register, verify the address, the own record, the password, the end of the account. */
export const accounts: FastifyPluginAsyncTypebox<AccountsDeps> = async (app, deps) => {
  const { authenticate, rateLimits } = deps
  const profiles = createProfiles(deps.db, deps.audit)
  const limitRegister = rateLimits.limit('register', 20, 60)
  const limitMail = rateLimits.limit('resend_verification', 20, 60)
  const limitVerify = rateLimits.limit('verify_email', 30, 60)
  const limitPassword = rateLimits.limit('password_check', 20, 60)
  const tags = ['account']
  const security = [{ bearer: [] }]

  app.post(
    '/auth/register',
    {
      onRequest: limitRegister,
      schema: {
        tags,
        summary: 'Create an account',
        description:
          'The answer is the same whether or not the address has an account: the rest is in the mail.',
        body: RegisterBody,
        response: { 202: Sent },
        problems: ['password_too_weak', 'overloaded'],
      },
    },
    async (request, reply) => {
      const { email, password, name } = request.body
      await register(deps, { email: canonicalEmail(email), password, name }, requestContext(request))
      return reply.status(202).send({ status: 'verification_sent' as const })
    },
  )

  app.post(
    '/auth/resend-verification',
    {
      onRequest: limitMail,
      schema: {
        tags,
        summary: 'Send the verification again',
        body: Type.Object({ email: Email }, strict),
        response: { 202: Sent },
      },
    },
    async (request, reply) => {
      await steady(() => resendVerification(deps, canonicalEmail(request.body.email)))
      return reply.status(202).send({ status: 'verification_sent' as const })
    },
  )

  await linkPage(app, {
    path: '/auth/verify-email',
    limit: limitVerify,
    tags,
    summary: 'Verify the address',
    ask: {
      title: 'Confirm your e-mail address',
      text: 'Press the button if it was you who created this account. If it was not, close this page.',
      button: 'Confirm',
    },
    act: (token, origin) => verifyEmail(deps, token, origin),
    done: {
      title: 'Your address is confirmed',
      text: 'You can close this page and sign in.',
      status: 'verified',
    },
    stale: 'Ask for a new one where you signed up.',
  })

  app.get(
    '/me',
    {
      onRequest: authenticate,
      schema: { tags, security, summary: 'The own record', response: { 200: User } },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      return profiles.read(request.session.sub)
    },
  )

  app.patch(
    '/me',
    {
      onRequest: authenticate,
      schema: {
        tags,
        security,
        summary: 'Change the own record',
        body: Type.Object({ name: Name }, strict),
        response: { 200: User },
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      return profiles.rename(request.session, request.body.name, requestContext(request))
    },
  )

  app.delete(
    '/me',
    {
      onRequest: [authenticate, limitPassword],
      schema: {
        tags,
        security,
        summary: 'Delete the account',
        description: `At once, with all its sessions. ${STEP_UP}`,
        body: StepUpBody,
        response: { 204: NoContent },
        problems: [...stepUpProblems, 'revocation_pending'],
      },
    },
    async (request, reply) => {
      await deleteAccount(deps, request.session, request.body, requestContext(request))
      profiles.forget(request.session.sub)
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/change-password',
    {
      onRequest: [authenticate, limitPassword],
      schema: {
        tags,
        security,
        summary: 'Change the password',
        description: 'Ends every other session. Needs no second factor.',
        body: Type.Object({ current_password: Password, new_password: Password }, strict),
        response: { 204: NoContent },
        problems: [
          'password_too_weak',
          'invalid_credentials',
          'too_many_attempts',
          'overloaded',
          'revocation_pending',
        ],
      },
    },
    async (request, reply) => {
      const { current_password: currentPassword, new_password: newPassword } = request.body
      await changePassword(deps, request.session, { currentPassword, newPassword }, requestContext(request))
      return reply.status(204).send(null)
    },
  )
}
