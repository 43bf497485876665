import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { PasskeyAnswer as PasskeyProof } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'
import type { DeviceTokens } from '../../http/device-tokens.ts'
import { withDelayedFailure } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import {
  canonicalEmail,
  DeviceTokenText,
  Email,
  factorProof,
  PasskeyAnswer,
  PasskeyChallenge,
  Password,
  presentUser,
  RegistrationToken,
  strict,
  TokenResponse,
  Transport,
} from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { RespondWithTokens } from '../../http/token-response.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { clientKey } from '../../platform/client-key.ts'
import { type LoginUses, login } from './login.ts'
import { type PasskeySignInUses, passkeyOptions, passkeySignIn } from './passkey-sign-in.ts'
import { type SecondStepUses, secondStep } from './second-step.ts'
import { type UnlockRoutesUses, unlockRoutes } from './unlock.routes.ts'

export type SignInUses = Omit<LoginUses, 'hashing'> &
  SecondStepUses &
  PasskeySignInUses &
  UnlockRoutesUses &
  Uses<'passwords' | 'sessions'> & {
    origins: TrustedOrigins
    deviceTokens: DeviceTokens
    cookies: SessionCookies
    respond: RespondWithTokens
  }

const MfaToken = Type.String({ minLength: 1, maxLength: 1024 })
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
const PasskeyOptionsBody = Type.Object({ mfa_token: Type.Optional(MfaToken) }, { ...strict, examples: [{}] })
const PasskeyBody = Type.Object(
  { ...PasskeyAnswer.properties, transport: Type.Optional(Transport), device_token: DeviceTokenText },
  strict,
)

/** Signing in with a password, with a password and a second factor, or with a passkey alone. */
export const signIn: FastifyPluginAsyncTypebox<SignInUses> = async (app, uses) => {
  const { origins, passwords, cookies, respond, deviceTokens } = uses
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

  app.post(
    '/auth/login/passkey/options',
    {
      config: { limit: 'passkey_challenge' },
      schema: {
        operationId: 'startPasskeySignIn',
        tags,
        summary: 'Get a challenge for a passkey',
        description:
          'Send `{}` to sign in with a passkey alone, and the answer to `POST /auth/login/passkey`. Send ' +
          '`{ "mfa_token": … }` to use a passkey of the account as the second factor, and the answer to ' +
          '`POST /auth/login/mfa` as `passkey`.',
        body: PasskeyOptionsBody,
        response: { 200: PasskeyChallenge },
        problems: ['mfa_invalid'],
      },
    },
    async (request) => {
      const { challengeToken, options } = await passkeyOptions(uses, request.body.mfa_token)
      return { challenge_token: challengeToken, options }
    },
  )

  app.post(
    '/auth/login/passkey',
    {
      config: { limit: 'login_passkey', ownBudget: budgetAtPasskey },
      schema: {
        operationId: 'signInWithPasskey',
        tags,
        summary: 'Sign in with a passkey alone',
        description:
          'It counts as two factors, so the authenticator has to verify its user. `transport` and `device_token` work ' +
          'as in `POST /auth/login`. After `passkey_unknown` call `PublicKeyCredential.signalUnknownCredential`, so ' +
          'that the browser stops offering that passkey.',
        body: PasskeyBody,
        response: { 200: TokenResponse },
        problems: ['passkey_invalid', 'passkey_unknown', 'password_reset_required', 'origin_not_allowed'],
      },
    },
    async (request, reply) => {
      const { transport = 'cookie', device_token: deviceToken, ...answer } = request.body
      requireOwnPage(request, transport)
      const device = await deviceTokens.of(request, transport, deviceToken, () => ownerOf(answer))
      const input = { answer, transport, device }
      const signedIn = await withDelayedFailure(() => passkeySignIn(uses, input, contextOf(request)))
      return finish(request, reply, signedIn, device)
    },
  )

  await app.register(unlockRoutes, uses)

  /** Only pages of this server and of the allowed origins may set or replace a session in a browser. */
  function requireOwnPage(request: FastifyRequest, transport: 'cookie' | 'body'): void {
    if (transport === 'cookie') origins.refuseForeign(request)
  }

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
  async function budgetAtPasskey(request: FastifyRequest) {
    const { transport, device_token: token, ...answer } = request.body as Static<typeof PasskeyBody>
    const owner = await ownerOf(answer)
    return owner && deviceTokens.budgetOf(request, owner, transport, token)
  }
  async function ownerOf(answer: PasskeyProof) {
    const id = await uses.factors.passkeys.ownerOf(uses.db, answer)
    return id === null ? null : { id }
  }

  async function finish(
    request: FastifyRequest,
    reply: FastifyReply,
    { issued, user, transport, mfaEnabled }: SignedIn,
    device: DeviceToken,
  ): Promise<TokenResponse> {
    // A sign-in always starts a new family.
    const previous = uses.sessions.readTokens(origins.cookiesOf(request, cookies.refresh))
    await uses.sessions.endReplaced(previous, contextOf(request))
    const tokens = respond(reply, issued, transport)
    return { ...tokens, ...deviceTokens.give(reply, device, transport), user: presentUser(user, mfaEnabled) }
  }
}
