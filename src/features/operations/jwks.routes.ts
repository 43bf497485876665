import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'

export type JwksUses = Uses<'keyRing'>

/** What a third party needs to verify access tokens by itself (RFC 7517). */
export async function jwksRoutes(app: FastifyInstance, { keyRing }: JwksUses): Promise<void> {
  app.get(
    '/.well-known/jwks.json',
    {
      // Cached for less than the time a new key is published before it signs.
      config: { limit: 'public', cache: 'public, max-age=60' },
      schema: {
        tags: ['third parties'],
        summary: 'The public signing keys',
        response: { 200: Type.Object({ keys: Type.Array(Type.Object({}, { additionalProperties: true })) }) },
      },
    },
    async (_request, reply) => {
      reply.header('access-control-allow-origin', '*')
      return keyRing.jwks()
    },
  )
}
