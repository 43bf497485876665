import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { PasskeyAnswer as PasskeyProof } from '../../core/factors/factors.ts'
import type { Uses } from '../../core/uses.ts'
import type { DeviceTokens } from '../../http/device-tokens.ts'
import { withDelayedFailure } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import {
  DeviceTokenText,
  MfaToken,
  PasskeyAnswer,
  PasskeyChallenge,
  strict,
  TokenResponse,
  Transport,
} from '../../http/schemas.ts'
import type { AnswerSignIn } from './answer-sign-in.ts'
import { type PasskeySignInUses, passkeyOptions, passkeySignIn } from './passkey-sign-in.ts'

export type PasskeySignInRoutesUses = PasskeySignInUses &
  Uses<'db' | 'factors'> & { deviceTokens: DeviceTokens; answerSignIn: AnswerSignIn }

const PasskeyOptionsBody = Type.Object({ mfa_token: Type.Optional(MfaToken) }, { ...strict, examples: [{}] })
const PasskeyBody = Type.Object(
  { ...PasskeyAnswer.properties, transport: Type.Optional(Transport), device_token: DeviceTokenText },
  strict,
)

/** Signing in with a passkey alone, and the challenges of passkeys at a sign-in. */
export const passkeySignInRoutes: FastifyPluginAsyncTypebox<PasskeySignInRoutesUses> = async (app, uses) => {
  const { deviceTokens } = uses
  const { requireOwnPage, finish } = uses.answerSignIn
  const tags = ['sign in']

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

  async function budgetAtPasskey(request: FastifyRequest) {
    const { transport, device_token: token, ...answer } = request.body as Static<typeof PasskeyBody>
    const owner = await ownerOf(answer)
    return owner && deviceTokens.budgetOf(request, owner, transport, token)
  }
  async function ownerOf(answer: PasskeyProof) {
    const id = await uses.factors.passkeys.ownerOf(uses.db, answer)
    return id === null ? null : { id }
  }
}
