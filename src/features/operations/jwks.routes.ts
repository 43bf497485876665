import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { KeyRing } from '../../core/tokens/key-ring.ts'
import type { RateLimit } from '../../http/rate-limit.ts'

/** What a third party needs to verify access tokens by itself (RFC 7517, RFC 8414). */
export async function discovery(
  app: FastifyInstance,
  deps: { keyRing: KeyRing; limit: RateLimit },
): Promise<void> {
  const tags = ['third parties']

  app.get(
    '/.well-known/jwks.json',
    {
      onRequest: deps.limit,
      schema: {
        tags,
        summary: 'The public signing keys',
        response: { 200: Type.Object({ keys: Type.Array(Type.Object({}, { additionalProperties: true })) }) },
      },
    },
    async (_request, reply) => {
      // Shorter than the time a new key is published before it signs.
      reply.header('cache-control', 'public, max-age=60').header('access-control-allow-origin', '*')
      return deps.keyRing.jwks()
    },
  )
}
