import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Limits } from '../../http/limits.ts'
import { AnyQuery } from '../../http/link-page.ts'
import { createProofOf, type ProofUses } from './dpop-proof.ts'
import { PATHS } from './metadata.ts'
import { claimsOf, refusal, TokenRefusal, tokenOf, type UserinfoUses } from './userinfo.ts'

export type UserinfoRoutesUses = UserinfoUses & ProofUses & { limits: Limits }

const Claims = Type.Object({
  sub: Type.String({ description: 'The user; the same for every client' }),
  email: Type.Optional(Type.String({ description: 'With the scope `email`, as is `email_verified`' })),
  email_verified: Type.Optional(Type.Boolean()),
  name: Type.Optional(Type.String({ description: 'With the scope `profile`, as are those below' })),
  locale: Type.Optional(Type.String({ description: 'A BCP 47 tag' })),
  updated_at: Type.Optional(Type.Integer({ description: 'Seconds since the epoch' })),
})

/** The userinfo endpoint (OpenID Connect Core 1.0 §5.3). */
export async function userinfoRoutes(app: FastifyInstance, uses: UserinfoRoutesUses): Promise<void> {
  const { db, users, limits } = uses
  const proofOf = createProofOf(uses)

  async function answer(request: FastifyRequest, reply: FastifyReply) {
    try {
      const { scheme, claims } = await tokenOf(uses, request, proofOf)
      const { sub, sid, scope, client_id: clientId } = claims
      request.concerned = { userId: sub, sessionId: sid, clientId }
      await limits.session(request, reply, `userinfo:${sid}`)
      const user = await users.find(db, sub)
      if (!user || user.disabledAt) throw refusal(scheme, 'invalid_token', 'The account is gone.')
      return claimsOf(user, scope)
    } catch (error) {
      if (!(error instanceof TokenRefusal)) throw error
      // Whose it is nobody knows: then it counts for its address.
      await limits.public(request, reply)
      reply.header('www-authenticate', error.challenges)
      throw error.problem
    }
  }

  for (const method of ['GET', 'POST'] as const) {
    app.route({
      method,
      url: PATHS.userinfo,
      config: { limit: 'in_handler', anyPage: true },
      schema: {
        operationId: method === 'GET' ? 'getUserinfo' : 'getUserinfoByPost',
        tags: ['third parties'],
        summary: 'Read the claims about a user (OpenID Connect Core 1.0 §5.3)',
        description:
          'Needs an access token that a user allowed a client with the scope `openid`, in `Authorization: Bearer`, or in ' +
          '`Authorization: DPoP` together with a proof if it is bound to a key.',
        security: [{ client_bearer: [] }],
        querystring: AnyQuery,
        response: { 200: Claims },
        problems: ['access_token_invalid', 'insufficient_scope', 'too_many_attempts'],
      },
      handler: answer,
    })
  }
}
