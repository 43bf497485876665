import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Authenticate } from '../../http/authenticate.ts'
import { strict } from '../../http/schemas.ts'
import type { Database } from '../../platform/database.ts'
import { listActivity } from './list-activity.ts'

export interface ActivityDeps {
  db: Database
  authenticate: Authenticate
}

const DEFAULT_LIMIT = '50'
const Nullable = Type.Union([Type.String(), Type.Null()])
// A query is text: numbers are told by their pattern.
const Page = Type.Object(
  {
    limit: Type.Optional(
      Type.String({
        pattern: '^([1-9][0-9]?|100)$',
        description: 'Events per page, 1 to 100; 50 by default',
      }),
    ),
    cursor: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9_-]{51}$', description: 'The `next_cursor` of the page before' }),
    ),
  },
  strict,
)
const ActivityEvent = Type.Object({
  id: Type.String(),
  at: Type.String({ format: 'date-time' }),
  type: Type.String(),
  outcome: Type.String({ description: '`success` or `failure`' }),
  reason: Nullable,
  session_id: Nullable,
  current: Type.Boolean({ description: 'Whether it belongs to the session that asks' }),
  ip: Nullable,
  user_agent: Nullable,
})
const Activity = Type.Object({ events: Type.Array(ActivityEvent), next_cursor: Nullable })

/** What happened to the own account, and from where. */
export const activity: FastifyPluginAsyncTypebox<ActivityDeps> = async (app, { db, authenticate }) => {
  app.get(
    '/auth/activity',
    {
      onRequest: authenticate,
      schema: {
        tags: ['account'],
        security: [{ bearer: [] }],
        summary: 'The security events of this account, newest first',
        querystring: Page,
        response: { 200: Activity },
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const { limit = DEFAULT_LIMIT, cursor } = request.query
      return listActivity(db, request.session, Number(limit), cursor)
    },
  )
}
