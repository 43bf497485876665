import type { FastifyRequest } from 'fastify'
import type { AdminAction, Audit } from '../core/events/events.ts'
import { Problem } from '../core/problems/problems.ts'
import type { Database } from '../platform/database.ts'
import { requestContext } from './request-origin.ts'

/** A hook for what only administrators do; it comes after `authenticate`. */
export type RequireAdministrator = (
  action: AdminAction | 'account_delete',
) => (request: FastifyRequest) => Promise<void>

/**
 * Asks the ledger each time: a role that was taken away, or a session that has ended, counts at once. An account that
 * rules over all others needs a second factor. Refusals are recorded.
 * @throws `access_token_invalid`, `administrators_only`, `second_factor_needed`.
 */
export function createRequireAdministrator(db: Database, audit: Audit): RequireAdministrator {
  return (type) => async (request) => {
    const { sub, sid, amr } = request.session
    const session = await db.session.findUnique({
      where: { id: sid },
      select: { endedAt: true, user: { select: { roles: true, disabledAt: true } } },
    })
    if (!session || session.endedAt) {
      throw new Problem('access_token_invalid', { detail: 'The session has ended.' })
    }
    const { user } = session
    const rules = user?.roles.includes('admin') && !user.disabledAt
    if (rules && amr.includes('mfa')) return
    const reason = rules ? 'second_factor_needed' : 'administrators_only'
    const event = { type, outcome: 'failure', reason, userId: sub, sessionId: sid } as const
    await audit.record(db, event, requestContext(request))
    throw new Problem(reason)
  }
}
