import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { withDelayedFailure } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import {
  canonicalEmail,
  DeviceTokenText,
  Email,
  factorProof,
  MfaToken,
  Password,
  RegistrationToken,
  strict,
  TokenResponse,
  Transport,
} from '../../http/schemas.ts'
import { clientKey } from '../../platform/client-key.ts'
import { type AnswerSignInUses, createAnswerSignIn } from './answer-sign-in.ts'
import { type LoginUses, login } from './login.ts'
import { type PasskeySignInRoutesUses, passkeySignInRoutes } from './passkey-sign-in.routes.ts'
import { type SecondStepUses, secondStep } from './second-step.ts'
import { type UnlockRoutesUses, unlockRoutes } from './unlock.routes.ts'

export type SignInUses = Omit<LoginUses, 'hashing'> &
  SecondStepUses &
  Omit<PasskeySignInRoutesUses, 'answerSignIn'> &
  UnlockRoutesUses &
  AnswerSignInUses &
  Uses<'passwords'>

const LoginBody = Type.Object(
  {
    email: Email,
    password: Password,
    transport: Type.Optional(Transport),
    device_token: DeviceTokenText,
    registration_token: Type.Optional(RegistrationToken),
  },
  { ...strict, examples: [{ email: 'demo@example.com', password: 'correct horse battery' }] },
)
const SecondStepBody = Type.Object(
  { mfa_token: MfaToken, ...factorProof, device_token: DeviceTokenText },
  { ...strict, examples: [{ mfa_token: 'from-the-first-step', code: '123456' }] },
)
/** Signing in with a password, with a password and a second factor, or with a passkey alone. */
export const signIn: FastifyPluginAsyncTypebox<SignInUses> = async (app, uses) => {
  const { origins, passwords, cookies, deviceTokens } = uses
  const answerSignIn = createAnswerSignIn(uses)
  const { requireOwnPage, finish } = answerSignIn
  const tags = ['sign in']
  await app.register(cookie, { hook: false })

  app.post(
    '/auth/login',
    {
      config: { limit: 'login', ownBudget: budgetAtLogin },
      schema: {
        operationId: 'signIn',
        tags,
        summary: 'Sign in with a password',
        description:
          'For an account with a second factor the response is `mfa_required` with `mfa_token` and `methods`: continue ' +
          'with `POST /auth/login/mfa`; for a passkey, call `POST /auth/login/passkey/options` first. By default the ' +
          'tokens are set as cookies. With body transport the response has `refresh_token` and `device_token`: store ' +
          'the `device_token` and send it with every later sign-in, so that other people’s failed guesses do not lock ' +
          'this device out. A client that has registered sends the `registration_token`, or its cookie: until the ' +
          'address is verified, the right password is then answered with `email_not_verified` and another mail.',
        body: LoginBody,
        response: { 200: TokenResponse },
        problems: [
          'invalid_credentials',
          'mfa_required',
          'email_not_verified',
          'password_reset_required',
          'origin_not_allowed',
          'too_many_attempts',
          'overloaded',
        ],
        problemExamples: {
          mfa_required: { mfa_token: 'the-ticket-for-the-second-step', methods: ['totp', 'recovery_code'] },
        },
      },
    },
    async (request, reply) => {
      const {
        email,
        password,
        transport = 'cookie',
        device_token: deviceToken,
        registration_token,
      } = request.body
      requireOwnPage(request, transport)
      const address = canonicalEmail(email)
      const device = await deviceTokens.of(request, transport, deviceToken, async () => ({ email: address }))
      const registrationTokens = registration_token
        ? [registration_token]
        : origins.cookiesOf(request, cookies.registration)
      const input = { email: address, password, transport, device, registrationTokens }
      const context = contextOf(request)
      const signedIn = await withDelayedFailure(async () => {
        const result = await passwords.admit(clientKey(context.ip), (hashing) =>
          login({ ...uses, hashing }, input, context),
        )
        if ('issued' in result) return result
        const { mfaToken: mfa_token, methods } = result
        throw new Problem('mfa_required', { mfa_token, methods })
      })
      return finish(request, reply, signedIn, device)
    },
  )

  app.post(
    '/auth/login/mfa',
    {
      config: { limit: 'login_mfa', ownBudget: budgetAtSecondStep },
      schema: {
        operationId: 'completeSignIn',
        tags,
        summary: 'Complete a sign-in with a second factor',
        description:
          'Send exactly one of `code`, `recovery_code` and `passkey`. The transport is that of the first step; a ' +
          '`device_token` has to be sent again. The `mfa_token` is valid for five minutes; a wrong factor does not use ' +
          'it up, a success does.',
        body: SecondStepBody,
        response: { 200: TokenResponse },
        problems: ['mfa_invalid', 'origin_not_allowed', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      const { mfa_token: mfaToken, device_token: deviceToken, ...proof } = request.body
      const ticket = uses.tickets.open('mfa', mfaToken)
      const transport = ticket?.transport ?? 'body'
      requireOwnPage(request, transport)
      const device = await deviceTokens.of(
        request,
        transport,
        deviceToken,
        async () => ticket && { id: ticket.userId },
      )
      const input = { mfaToken, proof, device }
      const signedIn = await withDelayedFailure(() => secondStep(uses, input, contextOf(request)))
      return finish(request, reply, signedIn, device)
    },
  )

  await app.register(passkeySignInRoutes, { ...uses, answerSignIn })
  await app.register(unlockRoutes, uses)

  // What others send from the address of a device that the account knows does not use up the budget of that device.
  function budgetAtLogin(request: FastifyRequest) {
    const { email, transport, device_token: token } = request.body as Static<typeof LoginBody>
    return deviceTokens.budgetOf(request, { email: canonicalEmail(email) }, transport, token)
  }
  async function budgetAtSecondStep(request: FastifyRequest) {
    const { mfa_token: mfaToken, device_token: token } = request.body as Static<typeof SecondStepBody>
    const ticket = uses.tickets.open('mfa', mfaToken)
    return ticket && deviceTokens.budgetOf(request, { id: ticket.userId }, ticket.transport, token)
  }
}
