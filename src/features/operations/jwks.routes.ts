import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'

export type JwksUses = Uses<'keyRing'>

/** The public keys with which third parties verify access tokens (RFC 7517). */
export async function jwksRoutes(app: FastifyInstance, { keyRing }: JwksUses): Promise<void> {
  app.get(
    '/.well-known/jwks.json',
    {
      // Shorter than the time for which a new key is published before it signs.
      config: { limit: 'public', cache: 'public, max-age=60', anyPage: true },
      schema: {
        operationId: 'getSigningKeys',
        tags: ['third parties'],
        summary: 'Get the public signing keys',
        description:
          'A JSON Web Key Set (RFC 7517) with the keys that verify access tokens, new ones before they sign.',
        response: { 200: Type.Object({ keys: Type.Array(Type.Object({}, { additionalProperties: true })) }) },
      },
    },
    async () => keyRing.jwks(),
  )
}
