import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { EVENT_TYPES, OUTCOMES } from '../../core/events/events.ts'
import { pageFields } from '../../http/cursor.ts'
import { userOf } from '../../http/principal.ts'
import { oneOf, strict } from '../../http/schemas.ts'
import { type ListActivityUses, listActivity } from './list-activity.ts'

export type ActivityUses = ListActivityUses

const Nullable = Type.Union([Type.String(), Type.Null()])
const ActivityEvent = Type.Object({
  id: Type.String(),
  at: Type.String({ format: 'date-time' }),
  type: Type.Unsafe<string>(oneOf(EVENT_TYPES)),
  outcome: Type.Unsafe<string>(oneOf(OUTCOMES)),
  reason: Nullable,
  by: Type.Union([oneOf(['you', 'administrator', 'operator']), Type.Null()], {
    description: 'Who did it; null where nobody knows, as with a wrong password',
  }),
  session_id: Nullable,
  current: Type.Boolean({ description: 'Whether it belongs to the session that asks' }),
  ip: Nullable,
  user_agent: Nullable,
})
const Activity = Type.Object({ events: Type.Array(ActivityEvent), next_cursor: Nullable })

/** What happened to a person's account, and from where. */
export const activityRoutes: FastifyPluginAsyncTypebox<ActivityUses> = async (app, uses) => {
  app.get(
    '/auth/activity',
    {
      config: { auth: 'user' },
      schema: {
        tags: ['account'],
        summary: 'The security events of this account, newest first',
        querystring: Type.Object(pageFields, strict),
        response: { 200: Activity },
      },
    },
    async (request) => listActivity(uses, userOf(request), request.query),
  )
}
