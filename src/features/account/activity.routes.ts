import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { EVENT_TYPES, OUTCOMES } from '../../core/events/events.ts'
import { pageFields } from '../../http/cursor.ts'
import { userOf } from '../../http/principal.ts'
import { oneOf, strict } from '../../http/schemas.ts'
import { type ListActivityUses, listActivity } from './list-activity.ts'

export type ActivityUses = ListActivityUses

const Nullable = Type.Union([Type.String(), Type.Null()])
const ActivityEvent = Type.Object(
  {
    id: Type.String(),
    at: Type.String({ format: 'date-time' }),
    type: Type.Unsafe<string>(oneOf(EVENT_TYPES)),
    outcome: Type.Unsafe<string>(oneOf(OUTCOMES)),
    reason: Nullable,
    by: Type.Union([oneOf(['you', 'administrator', 'operator']), Type.Null()], {
      description: 'Who caused the event; null when that is unknown, as for a wrong password',
    }),
    session_id: Nullable,
    client_id: Nullable,
    current: Type.Boolean({ description: 'Whether the event belongs to the session of this request' }),
    ip: Nullable,
    user_agent: Nullable,
  },
  { title: 'ActivityEvent' },
)
const Activity = Type.Object({ events: Type.Array(ActivityEvent), next_cursor: Nullable })

/** The security events of a user's own account. */
export const activityRoutes: FastifyPluginAsyncTypebox<ActivityUses> = async (app, uses) => {
  app.get(
    '/auth/activity',
    {
      config: { auth: 'user' },
      schema: {
        operationId: 'listActivity',
        tags: ['account'],
        summary: 'List the security events of your account, newest first',
        description:
          'Sign-ins, refusals and changes, with when and from where, as long as they are kept. A refused request appears within a second.',
        querystring: Type.Object(pageFields, strict),
        response: { 200: Activity },
      },
    },
    async (request) => listActivity(uses, userOf(request), request.query),
  )
}
