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
        tags: ['third parties'],
        summary: 'Get the public signing keys',
        response: { 200: Type.Object({ keys: Type.Array(Type.Object({}, { additionalProperties: true })) }) },
      },
    },
    async () => keyRing.jwks(),
  )
}
