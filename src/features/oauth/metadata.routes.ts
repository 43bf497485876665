import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'
import { AnyQuery } from '../../http/link-page.ts'
import { authorizationServerMetadata, protectedResourceMetadata } from './metadata.ts'

export interface MetadataUses extends Uses<'keyRing' | 'clients'> {
  issuer: string
  audience: string
  dynamicRegistration: boolean
}

const Metadata = Type.Object({}, { additionalProperties: true })

/** Where libraries of clients find everything. */
export async function metadataRoutes(
  app: FastifyInstance,
  { clients, issuer, audience, dynamicRegistration, keyRing }: MetadataUses,
): Promise<void> {
  let acceptsDocuments = false
  const server = async () => {
    // What was so last while Postgres does not say: the rest can be answered without it.
    acceptsDocuments = await clients.acceptsDocuments().catch(() => acceptsDocuments)
    // A client that is registered can bring a new algorithm.
    const algorithms = keyRing.algorithms()
    return authorizationServerMetadata(issuer, { algorithms, dynamicRegistration, acceptsDocuments })
  }
  const ownApi = protectedResourceMetadata(issuer, audience)
  const documents = [
    {
      url: '/.well-known/oauth-authorization-server',
      operationId: 'getAuthorizationServerMetadata',
      summary: 'Describe the endpoints of third parties (RFC 8414)',
      description: 'Libraries of clients find the endpoints and what they support here.',
      document: server,
    },
    {
      url: '/.well-known/openid-configuration',
      operationId: 'getOpenIdConfiguration',
      summary: 'Describe the endpoints of third parties (OpenID Connect Discovery 1.0)',
      description: 'The same document under the name that libraries of OpenID Connect know.',
      document: server,
    },
    {
      url: '/.well-known/oauth-protected-resource',
      operationId: 'getProtectedResourceMetadata',
      summary: 'Describe this API to clients (RFC 9728)',
      description: 'Names the authorization server whose access tokens this API accepts.',
      document: async () => ownApi,
    },
  ]
  for (const { url, operationId, summary, description, document } of documents) {
    app.get(
      url,
      {
        config: { limit: 'public', cache: 'public, max-age=300', anyPage: true },
        schema: {
          operationId,
          tags: ['third parties'],
          summary,
          description,
          querystring: AnyQuery,
          response: { 200: Metadata },
        },
      },
      document,
    )
  }
}
