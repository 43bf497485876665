import type { Transact } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import type { EndedReason } from '../reasons/reasons.ts'
import type { Revoke } from './revocation.ts'
import type { RevocationScope } from './revocation-rows.ts'

/** Ends sessions and records an audit event for each. @throws `revocation_pending` after both are written. */
export function endSessions(
  { transact, events, revoke }: { transact: Transact; events: Pick<Events, 'record'>; revoke: Revoke },
  scope: RevocationScope,
  reason: EndedReason,
  type: 'logout' | 'session_end',
  context: RequestContext,
): Promise<void> {
  return transact(async (tx) => {
    const revocations = await revoke(tx, scope, reason)
    const ended = revocations
      .filter(({ isNew }) => isNew)
      .map(({ userId, sessionId }) => {
        const event = { outcome: 'success', reason, userId, sessionId } as const
        // One type at a time: TypeScript compares no more than 25 combinations of a type and a reason.
        return type === 'logout' ? { type, ...event } : { type, ...event }
      })
    await events.record(tx, ended, context)
  })
}
