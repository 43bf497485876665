import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import {
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
import { ResourceOfToken } from '../../http/token-response.ts'
import { type PasskeySignInRoutesUses, passkeySignInRoutes } from './passkey-sign-in.routes.ts'
import { createSignInCalls, type SignInCallsUses } from './sign-in-calls.ts'
import { type SignInPagesUses, signInPages } from './sign-in-page.routes.ts'
import { type UnlockRoutesUses, unlockRoutes } from './unlock.routes.ts'

export type SignInUses = SignInCallsUses &
  Omit<PasskeySignInRoutesUses, 'calls'> &
  Omit<SignInPagesUses, 'calls'> &
  UnlockRoutesUses

const LoginBody = Type.Object(
  {
    email: Email,
    password: Password,
    transport: Type.Optional(Transport),
    device_token: DeviceTokenText,
    registration_token: Type.Optional(RegistrationToken),
    resource: ResourceOfToken,
  },
  { ...strict, examples: [{ email: 'demo@example.com', password: 'correct horse battery' }] },
)
const SecondStepBody = Type.Object(
  { mfa_token: MfaToken, ...factorProof, device_token: DeviceTokenText, resource: ResourceOfToken },
  { ...strict, examples: [{ mfa_token: 'from-the-first-step', code: '123456' }] },
)
/** Signing in with a password, with a password and a second factor, or with a passkey alone. */
export const signIn: FastifyPluginAsyncTypebox<SignInUses> = async (app, uses) => {
  const calls = createSignInCalls(uses)
  const tags = ['sign in']
  await app.register(cookie, { hook: false })

  app.post(
    '/auth/login',
    {
      config: {
        limit: 'login',
        ownBudget: (request) => calls.budgetOf.password(request, request.body as Static<typeof LoginBody>),
      },
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
          'address is verified, the right password is then answered with `email_not_verified` and another mail. ' +
          '`resource` names an API of yours that the access token is for, instead of this server.',
        body: LoginBody,
        response: { 200: TokenResponse },
        problems: [
          'invalid_target',
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
    async (request, reply) => calls.withPassword(request, reply, request.body),
  )

  app.post(
    '/auth/login/mfa',
    {
      config: {
        limit: 'login_mfa',
        ownBudget: (request) =>
          calls.budgetOf.secondFactor(request, request.body as Static<typeof SecondStepBody>),
      },
      schema: {
        operationId: 'completeSignIn',
        tags,
        summary: 'Complete a sign-in with a second factor',
        description:
          'Send exactly one of `code`, `recovery_code` and `passkey`. The transport is that of the first step; a ' +
          '`device_token` and a `resource` have to be sent again. The `mfa_token` is valid for five minutes; a wrong factor does not use ' +
          'it up, a success does.',
        body: SecondStepBody,
        response: { 200: TokenResponse },
        problems: ['invalid_target', 'mfa_invalid', 'origin_not_allowed', 'too_many_attempts'],
      },
    },
    async (request, reply) => calls.withSecondFactor(request, reply, request.body),
  )

  await app.register(passkeySignInRoutes, { ...uses, calls })
  await app.register(signInPages, { ...uses, calls })
  await app.register(unlockRoutes, uses)
}
