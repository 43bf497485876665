import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { type Registration, UnusableMetadata } from '../../core/clients/clients.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { contextOf } from '../../http/request-context.ts'
import { PATHS } from './metadata.ts'

const Texts = Type.Array(Type.String())
const Seconds = Type.Integer({ description: 'Seconds since the epoch' })
const Keys = Type.Object({}, { additionalProperties: true })

// Only for the documentation: what is wrong is said in the codes of RFC 7591.
const Metadata = Type.Object(
  {},
  {
    additionalProperties: true,
    examples: [
      {
        client_name: 'Example app',
        redirect_uris: ['https://app.example.com/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
      },
    ],
  },
)
const Registered = Type.Object({
  client_id: Type.String({ description: 'At most 1500 characters; it holds the metadata' }),
  client_id_issued_at: Seconds,
  client_secret_expires_at: Type.Integer({
    description: 'Seconds since the epoch: until then the client_id works. There is no secret',
  }),
  client_name: Type.String(),
  redirect_uris: Texts,
  grant_types: Texts,
  response_types: Texts,
  token_endpoint_auth_method: Type.String(),
  dpop_bound_access_tokens: Type.Boolean(),
  jwks: Type.Optional(Keys),
})

/** Clients register themselves (RFC 7591 §3). Nothing is stored. */
export async function registerRoutes(
  app: FastifyInstance,
  { clients, events }: Uses<'clients' | 'events'>,
): Promise<void> {
  app.post(
    PATHS.registration,
    {
      config: { errors: 'oauth', limit: 'register_client', anyPage: true },
      schema: {
        operationId: 'registerClient',
        tags: ['third parties'],
        summary: 'Register a client (RFC 7591 §3.1)',
        description:
          'For clients that act for users, without a secret: public ones, or with `private_key_jwt` and `jwks`. The ' +
          'answer says what was accepted. The `client_id` works for 90 days.',
        body: Metadata,
        response: { 201: Registered },
        problems: ['invalid_redirect_uri', 'invalid_client_metadata', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      const context = contextOf(request)
      try {
        const registration = clients.register(request.body)
        // Without the id: events of strangers are counted, and fill no table.
        events.recordSoon({ type: 'client_register', outcome: 'success' }, context)
        return reply.status(201).header('pragma', 'no-cache').send(documentOf(registration))
      } catch (error) {
        if (!(error instanceof UnusableMetadata)) throw error
        events.recordSoon({ type: 'client_register', outcome: 'failure', reason: error.code }, context)
        throw new Problem(error.code, { detail: `${error.message}.` })
      }
    },
  )
}

const documentOf = ({ id, issuedAt, expiresAt, description }: Registration) => ({
  client_id: id,
  client_id_issued_at: issuedAt,
  client_secret_expires_at: expiresAt,
  client_name: description.name,
  redirect_uris: description.redirectUris,
  grant_types: description.grantTypes,
  response_types: ['code'],
  token_endpoint_auth_method: description.authMethod,
  dpop_bound_access_tokens: description.requiresDpop,
  ...(description.jwks ? { jwks: description.jwks } : {}),
})
