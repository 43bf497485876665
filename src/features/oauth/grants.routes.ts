import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { Problem } from '../../core/problems/problems.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, WITHOUT_CONTROLS } from '../../http/schemas.ts'
import { type GrantsOfUses, grantsOf, withdrawGrant } from './grants-of-user.ts'

const DateTime = Type.String({ format: 'date-time' })
const GrantDocument = Type.Object({
  client_id: Type.String(),
  client_name: Type.Union([Type.String(), Type.Null()], { description: 'null for a client that is gone' }),
  client_uri: Type.Union([Type.String(), Type.Null()]),
  permissions: Type.Array(
    Type.Object({
      resource: Type.Union([Type.String(), Type.Null()], { description: 'null for OpenID Connect alone' }),
      scopes: Type.Array(Type.String()),
    }),
  ),
  created_at: DateTime,
  last_used_at: Type.Union([DateTime, Type.Null()]),
  live_sessions: Type.Integer({ description: 'How often it is connected now' }),
  ended: Type.Union([Type.String(), Type.Null()], {
    description: 'Why its last session ended, if none is live, such as `reuse_detected`',
  }),
})

/** What users allow third parties, and how they take it back. */
export const grantsRoutes: FastifyPluginAsyncTypebox<GrantsOfUses> = async (app, uses) => {
  const tags = ['third parties']
  app.get(
    '/auth/grants',
    {
      config: { auth: 'user', limit: 'session' },
      schema: {
        operationId: 'listGrants',
        tags,
        summary: 'List what third parties may do',
        description: 'What each client may do for the account, since when, and when it last did.',
        response: { 200: Type.Object({ grants: Type.Array(GrantDocument) }) },
      },
    },
    async (request) => ({ grants: await grantsOf(uses, userOf(request).userId) }),
  )

  app.delete(
    '/auth/grants',
    {
      config: { auth: 'user', limit: 'end_sessions' },
      schema: {
        operationId: 'withdrawGrant',
        tags,
        summary: 'Take everything back that a client may do',
        description: 'Its tokens stop working everywhere within a second, and it has to ask again.',
        querystring: Type.Object({
          client_id: Type.String({ minLength: 1, maxLength: 2_000, pattern: WITHOUT_CONTROLS }),
        }),
        response: { 204: NoContent },
        problems: ['not_found', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      const { userId } = userOf(request)
      const isWithdrawn = await withdrawGrant(uses, userId, request.query.client_id, contextOf(request))
      if (!isWithdrawn) throw new Problem('not_found')
      return reply.status(204).send(null)
    },
  )
}
