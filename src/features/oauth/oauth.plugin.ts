import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Client } from '../../core/clients/clients.ts'
import type { ReasonOf } from '../../core/events/events.ts'
import { isProblem, Problem } from '../../core/problems/problems.ts'
import { AnyQuery } from '../../http/link-page.ts'
import { contextOf } from '../../http/request-context.ts'
import { oneOf } from '../../http/schemas.ts'
import { type AuthenticateClientUses, authenticateClient } from './authenticate-client.ts'
import { acceptProofs, createProofOf, type ProofUses, requireNonce } from './dpop-proof.ts'
import { acceptForms, type Parameters } from './form.ts'
import { clientCredentials } from './grants/client-credentials.ts'
import type { Grant, GrantUses } from './grants/grant.ts'
import { introspect } from './introspect.ts'
import { authorizationServerMetadata, PATHS, protectedResourceMetadata } from './metadata.ts'

export type OAuthUses = Omit<AuthenticateClientUses, 'audiences'> &
  GrantUses &
  Omit<ProofUses, 'issuer'> & {
    /** Of the tokens: this server's origin. */
    issuer: string
    /** The audience of this server's own API. */
    audience: string
  }

const GRANTS: readonly Grant[] = [clientCredentials]

const open = { additionalProperties: true } as const
const Parameter = Type.Optional(Type.String())
const CLIENT = {
  client_id: Parameter,
  client_secret: Parameter,
  client_assertion: Parameter,
  client_assertion_type: Parameter,
}
const TokenRequest = Type.Object(
  { grant_type: Parameter, scope: Parameter, resource: Parameter, ...CLIENT },
  { ...open, examples: [{ grant_type: 'client_credentials', scope: 'orders:read' }] },
)
const TokenHeaders = Type.Object(
  { dpop: Type.Optional(Type.String({ description: 'A proof (RFC 9449): binds the token to its key' })) },
  open,
)
const IntrospectionRequest = Type.Object(
  { token: Parameter, ...CLIENT },
  { ...open, examples: [{ token: 'eyJ…' }] },
)
const Token = Type.Object({
  access_token: Type.String(),
  token_type: oneOf(['Bearer', 'DPoP'], { description: '`DPoP` if the request had a proof' }),
  expires_in: Type.Integer({ description: 'Seconds' }),
  scope: Type.String(),
})
const Metadata = Type.Object({}, open)
// The serializer must not drop what a claim set has.
const Introspection = Type.Object({ active: Type.Boolean() }, open)

/** What third-party clients call, each endpoint as its RFC describes it. */
export async function oauth(app: FastifyInstance, { issuer, audience, ...rest }: OAuthUses): Promise<void> {
  const uses = { ...rest, audiences: [issuer, issuer + PATHS.token] }
  const proofOf = createProofOf({ ...rest, issuer })
  const tags = ['third parties']
  function refused(request: FastifyRequest, reason: ReasonOf<'client_token', 'failure'>): void {
    const event = { type: 'client_token', outcome: 'failure', reason } as const
    uses.events.recordSoon({ ...event, clientId: request.client?.id }, contextOf(request))
  }
  const documents = [
    {
      url: '/.well-known/oauth-authorization-server',
      operationId: 'getAuthorizationServerMetadata',
      summary: 'Describe the endpoints of third parties (RFC 8414)',
      description: 'Libraries of clients find the endpoints and what they support here.',
      document: authorizationServerMetadata(issuer),
    },
    {
      url: '/.well-known/oauth-protected-resource',
      operationId: 'getProtectedResourceMetadata',
      summary: 'Describe this API to clients (RFC 9728)',
      description: 'Names the authorization server whose access tokens this API accepts.',
      document: protectedResourceMetadata(issuer, audience),
    },
  ]
  for (const { url, operationId, summary, description, document } of documents) {
    app.get(
      url,
      {
        config: { limit: 'public', cache: 'public, max-age=300', anyPage: true },
        schema: {
          operationId,
          tags,
          summary,
          description,
          querystring: AnyQuery,
          response: { 200: Metadata },
        },
      },
      async () => document,
    )
  }

  await app.register(async (endpoints) => {
    await acceptForms(endpoints)
    await acceptProofs(endpoints)
    const consumes = ['application/x-www-form-urlencoded']
    const security = [{ client: [] }, {}]
    const refusals = ['invalid_request', 'invalid_client', 'too_many_attempts'] as const
    endpoints.decorateRequest('client', null)
    const authenticated = (limit: 'token' | 'introspect') => (request: FastifyRequest, reply: FastifyReply) =>
      authenticateClient(uses, limit, request, reply)

    endpoints.post(
      PATHS.token,
      {
        config: { errors: 'oauth', limit: 'in_handler', anyPage: true },
        onRequest: requireNonce(uses),
        preHandler: authenticated('token'),
        schema: {
          tags,
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
            'invalid_scope',
            'invalid_target',
            'invalid_dpop_proof',
            'use_dpop_nonce',
          ],
        },
      },
      async (request, reply) => {
        const client = request.client as Client
        const parameters = request.body as Parameters
        const { grant_type: grantType } = parameters
        if (grantType === undefined)
          throw new Problem('invalid_request', { detail: 'grant_type is missing.' })
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

    endpoints.post(
      PATHS.introspection,
      {
        config: { errors: 'oauth', limit: 'in_handler', anyPage: true },
        preHandler: authenticated('introspect'),
        schema: {
          tags,
          operationId: 'introspectToken',
          summary: 'Introspect a token (RFC 7662)',
          description: 'Only the API that the token is aimed at learns what it allows.',
          consumes,
          security,
          body: IntrospectionRequest,
          response: { 200: Introspection },
          problems: [...refusals, 'invalid_target'],
        },
      },
      async (request) => introspect(uses, request.client as Client, request.body as Parameters),
    )
  })
}
