import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ENDED_REASONS } from '../../core/reasons/reasons.ts'
import type { Uses } from '../../core/uses.ts'
import { userOf } from '../../http/principal.ts'
import { oneOf, strict, TRANSPORTS } from '../../http/schemas.ts'
import { listSessions } from './list-sessions.ts'

export type ListSessionsUses = Uses<'db' | 'sessions' | 'clock'>

const SessionView = Type.Object(
  {
    id: Type.String(),
    current: Type.Boolean(),
    transport: Type.Unsafe<string>(oneOf(TRANSPORTS)),
    user_agent: Type.Union([Type.String(), Type.Null()]),
    ip: Type.Union([Type.String(), Type.Null()]),
    created_at: Type.String(),
    last_used_at: Type.String(),
    expires_at: Type.String(),
    ended_at: Type.Union([Type.String(), Type.Null()]),
    ended_reason: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      enum: [...ENDED_REASONS, 'expired', null],
    }),
  },
  { title: 'ListedSession' },
)
/** The sessions of a user's own account. */
export const listSessionsRoutes: FastifyPluginAsyncTypebox<ListSessionsUses> = async (app, uses) => {
  app.get(
    '/auth/sessions',
    {
      config: { auth: 'user' },
      schema: {
        operationId: 'listSessions',
        tags: ['sessions'],
        summary: 'List the sessions of your account',
        description: 'Last used first. With `ended=true` also those that ended within 30 days, and why.',
        querystring: Type.Object({ ended: Type.Optional(oneOf(['true', 'false'])) }, strict),
        response: { 200: Type.Object({ sessions: Type.Array(SessionView) }) },
      },
    },
    async (request) => ({
      sessions: await listSessions(uses, userOf(request), request.query.ended === 'true'),
    }),
  )
}
