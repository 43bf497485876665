import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Client } from '../../core/clients/clients.ts'
import type { Uses } from '../../core/uses.ts'
import { contextOf } from '../../http/request-context.ts'
import type { AuthenticateClientUses } from './authenticate-client.ts'
import { authenticated, CLIENT, config, consumes, open, Parameter, refusals, security } from './endpoint.ts'
import type { Parameters } from './form.ts'
import { introspect } from './introspect.ts'
import { PATHS } from './metadata.ts'
import { revoke } from './revoke.ts'

export type TokenStateRoutesUses = AuthenticateClientUses & Uses<'clientTokens' | 'sessions' | 'db'>

const TokenForm = Type.Object(
  { token: Parameter, token_type_hint: Parameter, ...CLIENT },
  { ...open, examples: [{ token: 'eyJ…' }] },
)
const Text = Type.Optional(Type.String())
const Time = Type.Optional(Type.Integer({ description: 'Seconds since the epoch' }))
// The serializer must not drop what else a claim set has.
const Introspection = Type.Object(
  {
    active: Type.Boolean(),
    iss: Text,
    sub: Text,
    aud: Text,
    exp: Time,
    iat: Time,
    jti: Text,
    client_id: Text,
    scope: Text,
    token_type: Text,
  },
  open,
)
const Revoked = Type.Object({}, { description: 'The token does not work, or no longer' })

/** Asking what a token allows, and ending it. */
export async function tokenStateRoutes(app: FastifyInstance, uses: TokenStateRoutesUses): Promise<void> {
  const tags = ['third parties']
  app.post(
    PATHS.introspection,
    {
      config,
      preHandler: authenticated(uses, 'introspect'),
      schema: {
        tags,
        operationId: 'introspectToken',
        summary: 'Introspect a token (RFC 7662)',
        description: 'Only the API that the token is aimed at learns what it allows.',
        consumes,
        security,
        body: TokenForm,
        response: { 200: Introspection },
        problems: [...refusals, 'invalid_target'],
      },
    },
    async (request) => introspect(uses, request.client as Client, request.body as Parameters),
  )

  app.post(
    PATHS.revocation,
    {
      config,
      preHandler: authenticated(uses, 'token'),
      schema: {
        tags,
        operationId: 'revokeToken',
        summary: 'Revoke a token (RFC 7009)',
        description:
          'Ends the access that a user allowed, with every token of it, everywhere within a second. A token that does ' +
          'not work, or is another client’s, gets the same answer.',
        consumes,
        security,
        body: TokenForm,
        response: { 200: Revoked },
        problems: [...refusals, 'invalid_target', 'unsupported_token_type', 'revocation_pending'],
      },
    },
    async (request) => {
      await revoke(uses, request.client as Client, request.body as Parameters, contextOf(request))
      return {}
    },
  )
}
