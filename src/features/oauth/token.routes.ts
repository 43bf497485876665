import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Client } from '../../core/clients/clients.ts'
import type { ReasonOf } from '../../core/events/events.ts'
import { isProblem, Problem } from '../../core/problems/problems.ts'
import { contextOf } from '../../http/request-context.ts'
import { oneOf } from '../../http/schemas.ts'
import type { AuthenticateClientUses } from './authenticate-client.ts'
import { createProofOf, type ProofUses, requireNonce } from './dpop-proof.ts'
import { authenticated, CLIENT, config, consumes, open, Parameter, refusals, security } from './endpoint.ts'
import type { Parameters } from './form.ts'
import { authorizationCode } from './grants/authorization-code.ts'
import { clientCredentials } from './grants/client-credentials.ts'
import { deviceCode } from './grants/device-code.ts'
import type { Grant, GrantUses } from './grants/grant.ts'
import { refreshToken } from './grants/refresh-token.ts'
import { PATHS } from './metadata.ts'

export type TokenRoutesUses = AuthenticateClientUses & GrantUses & ProofUses

const GRANTS: readonly Grant[] = [authorizationCode, refreshToken, clientCredentials, deviceCode]

const TokenRequest = Type.Object(
  {
    grant_type: Parameter,
    scope: Parameter,
    resource: Parameter,
    code: Parameter,
    redirect_uri: Parameter,
    code_verifier: Parameter,
    refresh_token: Parameter,
    device_code: Parameter,
    ...CLIENT,
  },
  { ...open, examples: [{ grant_type: 'client_credentials', scope: 'orders:read' }] },
)
const TokenHeaders = Type.Object(
  { dpop: Type.Optional(Type.String({ description: 'A proof (RFC 9449): binds the token to its key' })) },
  open,
)
const Token = Type.Object({
  access_token: Type.String(),
  token_type: oneOf(['Bearer', 'DPoP'], { description: '`DPoP` if the request had a proof' }),
  expires_in: Type.Integer({ description: 'Seconds' }),
  scope: Type.String(),
  refresh_token: Type.Optional(
    Type.String({ description: 'For a client that may refresh, once a user allowed it' }),
  ),
  id_token: Type.Optional(Type.String({ description: 'With the scope `openid`' })),
})

/** The token endpoint (RFC 6749 §3.2). */
export async function tokenRoutes(app: FastifyInstance, uses: TokenRoutesUses): Promise<void> {
  const proofOf = createProofOf(uses)
  function refused(request: FastifyRequest, reason: ReasonOf<'client_token', 'failure'>): void {
    const event = { type: 'client_token', outcome: 'failure', reason } as const
    uses.events.recordSoon({ ...event, clientId: request.client?.id }, contextOf(request))
  }

  app.post(
    PATHS.token,
    {
      config,
      onRequest: requireNonce(uses),
      preHandler: authenticated(uses, 'token'),
      schema: {
        tags: ['third parties'],
        operationId: 'getToken',
        summary: 'Get tokens (RFC 6749 §3.2)',
        description:
          'The client authenticates by `Authorization: Basic`, or in the body. `DPoP-Nonce` of an answer is the nonce ' +
          'for the next proof.',
        consumes,
        security,
        headers: TokenHeaders,
        body: TokenRequest,
        response: { 200: Token },
        problems: [
          ...refusals,
          'unauthorized_client',
          'unsupported_grant_type',
          'invalid_grant',
          'invalid_scope',
          'invalid_target',
          'authorization_pending',
          'slow_down',
          'access_denied',
          'expired_token',
          'invalid_dpop_proof',
          'use_dpop_nonce',
        ],
      },
    },
    async (request, reply) => {
      const client = request.client as Client
      const parameters = request.body as Parameters
      const { grant_type: grantType } = parameters
      if (grantType === undefined) throw new Problem('invalid_request', { detail: 'grant_type is missing.' })
      const grant = GRANTS.find((each) => each.grantType === grantType)
      if (!grant) throw new Problem('unsupported_grant_type')
      if (!client.grantTypes.includes(grant.grantType)) {
        refused(request, 'unauthorized_client')
        throw new Problem('unauthorized_client')
      }
      request.proven = await proofOf(request).catch((error: unknown) => {
        if (isProblem(error, 'invalid_dpop_proof')) refused(request, error.code)
        throw error
      })
      const answer = await grant.handle(uses, client, parameters, request)
      return reply.header('pragma', 'no-cache').send(answer)
    },
  )
}
