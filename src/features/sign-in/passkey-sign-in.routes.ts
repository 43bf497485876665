import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import {
  DeviceTokenText,
  MfaToken,
  PasskeyAnswer,
  PasskeyChallenge,
  strict,
  TokenResponse,
  Transport,
} from '../../http/schemas.ts'
import { ResourceOfToken } from '../../http/token-response.ts'
import { type PasskeySignInUses, passkeyOptions } from './passkey-sign-in.ts'
import type { SignInCalls } from './sign-in-calls.ts'

export type PasskeySignInRoutesUses = PasskeySignInUses & { calls: SignInCalls }

const PasskeyOptionsBody = Type.Object({ mfa_token: Type.Optional(MfaToken) }, { ...strict, examples: [{}] })
const PasskeyBody = Type.Object(
  {
    ...PasskeyAnswer.properties,
    transport: Type.Optional(Transport),
    device_token: DeviceTokenText,
    resource: ResourceOfToken,
  },
  strict,
)

/** Signing in with a passkey alone, and the challenges of passkeys at a sign-in. */
export const passkeySignInRoutes: FastifyPluginAsyncTypebox<PasskeySignInRoutesUses> = async (app, uses) => {
  const { calls } = uses
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
      config: {
        limit: 'login_passkey',
        ownBudget: (request) => calls.budgetOf.passkey(request, request.body as Static<typeof PasskeyBody>),
      },
      schema: {
        operationId: 'signInWithPasskey',
        tags,
        summary: 'Sign in with a passkey alone',
        description:
          'It counts as two factors, so the authenticator has to verify its user. `transport`, `device_token` and `resource` work ' +
          'as in `POST /auth/login`. After `passkey_unknown` call `PublicKeyCredential.signalUnknownCredential`, so ' +
          'that the browser stops offering that passkey.',
        body: PasskeyBody,
        response: { 200: TokenResponse },
        problems: [
          'invalid_target',
          'passkey_invalid',
          'passkey_unknown',
          'password_reset_required',
          'origin_not_allowed',
        ],
      },
    },
    async (request, reply) => calls.withPasskey(request, reply, request.body),
  )
}
