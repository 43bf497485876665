import type { FastifyRequest } from 'fastify'
import type { AdminAction } from '../core/events/events.ts'
import { Problem } from '../core/problems/problems.ts'
import type { Uses } from '../core/uses.ts'
import { userOf } from './principal.ts'
import { contextOf } from './request-context.ts'

/** Creates a hook that admits only administrators; it runs after `authenticate`. */
export type RequireAdministrator = (action: AdminAction) => (request: FastifyRequest) => Promise<void>

/**
 * Reads the user and the session from Postgres each time, so that a removed role or an ended session takes effect at
 * once. Administrators must have signed in with a second factor. Refusals are recorded.
 * @throws `access_token_invalid`, `administrators_only`, `second_factor_needed`.
 */
export function createRequireAdministrator(
  services: Uses<'db' | 'sessions' | 'users' | 'events'>,
): RequireAdministrator {
  const { db, sessions, users, events } = services
  return (type) => async (request) => {
    const { userId, sessionId, amr } = userOf(request)
    const [session, user] = await Promise.all([sessions.find(db, sessionId), users.find(db, userId)])
    if (!session || session.endedAt) {
      throw new Problem('access_token_invalid', { detail: 'The session has ended.' })
    }
    const isAdministrator = user?.roles.includes('admin') && !user.disabledAt
    if (isAdministrator && amr.includes('mfa')) return
    const reason = isAdministrator ? 'second_factor_needed' : 'administrators_only'
    const event = { type, outcome: 'failure', reason, userId, sessionId } as const
    await events.record(db, event, contextOf(request))
    throw new Problem(reason)
  }
}
