import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'
import { withDelayedFailure } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import {
  canonicalEmail,
  Email,
  factorProof,
  PasskeyAnswer,
  PasskeyChallenge,
  Password,
  presentUser,
  strict,
  TokenResponse,
  Transport,
} from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { RespondWithTokens } from '../../http/token-response.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { type LoginUses, login } from './login.ts'
import { type PasskeySignInUses, passkeyOptions, passkeySignIn } from './passkey-sign-in.ts'
import { type SecondStepUses, secondStep } from './second-step.ts'
import { unlockRoutes } from './unlock.routes.ts'
import type { UnlockUses } from './unlock-account.ts'

export type SignInUses = LoginUses &
  SecondStepUses &
  PasskeySignInUses &
  UnlockUses &
  Uses<'clock'> & { origins: TrustedOrigins; cookies: SessionCookies; respond: RespondWithTokens }

const DeviceTokenText = Type.Optional(
  Type.String({ maxLength: 64, description: 'Of an earlier sign-in, in body transport' }),
)
const MfaToken = Type.String({ minLength: 1, maxLength: 1024 })
const LoginBody = Type.Object(
  { email: Email, password: Password, transport: Type.Optional(Transport), device_token: DeviceTokenText },
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
// As long as browsers keep a cookie.
const DEVICE_MS = 400 * 86_400_000

/** Sign in: with a password, with a password and a second factor, with a passkey alone. */
export const signIn: FastifyPluginAsyncTypebox<SignInUses> = async (app, uses) => {
  const { origins, devices, clock, cookies, respond } = uses
  const tags = ['sign in']
  await app.register(cookie)
  await app.register(unlockRoutes, uses)

  app.post(
    '/auth/login',
    {
      config: { limit: 'login' },
      schema: {
        tags,
        summary: 'Sign in with a password',
        description:
          'An account with a second factor answers `mfa_required` with `mfa_token` and `methods`: go on at ' +
          '`POST /auth/login/mfa`, for a passkey by way of `POST /auth/login/passkey/options`. A browser keeps the ' +
          'tokens in cookies, by default. In body transport the answer holds `refresh_token`, and `device_token`: keep ' +
          'it, and send it with every later sign-in, so that guesses of strangers do not lock this device out.',
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
      },
    },
    async (request, reply) => {
      const { email, password, transport = 'cookie', device_token: deviceToken } = request.body
      requireOwnPage(request, transport)
      const device = deviceOf(request, transport, deviceToken)
      const input = { email: canonicalEmail(email), password, transport, device }
      const signedIn = await withDelayedFailure(() => login(uses, input, contextOf(request)))
      return finish(request, reply, signedIn, device)
    },
  )

  app.post(
    '/auth/login/mfa',
    {
      config: { limit: 'login_mfa' },
      schema: {
        tags,
        summary: 'The second factor, after a right password',
        description:
          'With exactly one of `code`, `recovery_code` and `passkey`. The `mfa_token` remembers the transport of the ' +
          'first step; a `device_token` has to be sent again. It lasts five minutes, survives wrong factors, and is ' +
          'used up by the success.',
        body: SecondStepBody,
        response: { 200: TokenResponse },
        problems: ['mfa_invalid', 'origin_not_allowed', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      const { mfa_token: mfaToken, device_token: deviceToken, ...proof } = request.body
      const { transport = 'body' } = uses.tickets.open('mfa', mfaToken) ?? {}
      requireOwnPage(request, transport)
      const device = deviceOf(request, transport, deviceToken)
      const input = { mfaToken, proof, device }
      const signedIn = await withDelayedFailure(() => secondStep(uses, input, contextOf(request)))
      return finish(request, reply, signedIn, device)
    },
  )

  app.post(
    '/auth/login/passkey/options',
    {
      config: { limit: 'login_passkey' },
      schema: {
        tags,
        summary: 'A challenge for a passkey, alone or with `mfa_token` as second factor',
        description:
          'With `{}` for a sign-in with a passkey alone: answer at `POST /auth/login/passkey`. With ' +
          '`{ "mfa_token": … }` for the second step: the passkeys are those of the account, and the answer goes to ' +
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
      config: { limit: 'login_passkey' },
      schema: {
        tags,
        summary: 'Sign in with a passkey alone',
        description:
          'It counts as two factors. Transport and `device_token` are those of `POST /auth/login`.',
        body: PasskeyBody,
        response: { 200: TokenResponse },
        problems: ['passkey_invalid', 'password_reset_required', 'origin_not_allowed'],
      },
    },
    async (request, reply) => {
      const { transport = 'cookie', device_token: deviceToken, ...answer } = request.body
      requireOwnPage(request, transport)
      const device = deviceOf(request, transport, deviceToken)
      const input = { answer, transport, device }
      const signedIn = await withDelayedFailure(() => passkeySignIn(uses, input, contextOf(request)))
      return finish(request, reply, signedIn, device)
    },
  )

  const isForeign = ({ headers: { origin } }: FastifyRequest) => origin !== undefined && !origins.has(origin)

  /** Only this server's pages and listed origins may set, or replace, a session in a browser. */
  function requireOwnPage(request: FastifyRequest, transport: 'cookie' | 'body'): void {
    if (transport === 'cookie' && isForeign(request)) throw new Problem('origin_not_allowed')
  }

  const kept = (request: FastifyRequest, name: string) =>
    isForeign(request) ? undefined : request.cookies[name]

  /** No script may read the cookie: a call that wants its tokens in the body is not told of it. */
  const deviceOf = (request: FastifyRequest, transport: 'cookie' | 'body', inBody: string | undefined) =>
    devices.tokenFrom(transport === 'body' ? inBody : kept(request, cookies.device.name))

  async function finish(
    request: FastifyRequest,
    reply: FastifyReply,
    { issued, user, transport, mfaEnabled }: SignedIn,
    device: DeviceToken,
  ): Promise<TokenResponse> {
    await uses.signIn.endPrevious(kept(request, cookies.refresh.name), contextOf(request))
    const tokens = respond(reply, issued, transport)
    if (transport === 'cookie') {
      const now = clock.now()
      reply.setCookie(cookies.device.name, device.text, cookies.device.options(now + DEVICE_MS, now))
    }
    return {
      ...tokens,
      ...(transport === 'body' ? { device_token: device.text } : {}),
      user: presentUser(user, mfaEnabled),
    }
  }
}
