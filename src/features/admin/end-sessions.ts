import type { RequestContext } from '../../core/events/events.ts'
import { type AdminUses, type Change, changeAccount, type Target } from './change-account.ts'

/** Ends every session of an account. @throws `not_found`, `revocation_pending` (recorded; they end within a second). */
export function endSessions(uses: AdminUses, target: Target, context: RequestContext): Promise<Change> {
  return changeAccount(uses, 'sessions_end', target, context, async (tx, { id: userId }) => {
    const revocations = await uses.sessions.revoke(tx, { userId }, 'ended_by_administrator')
    return { changed: revocations.some(({ isNew }) => isNew), revocations }
  })
}
