import type { Database } from '../../platform/database.ts'
import type { Audit, Origin } from '../events/events.ts'
import type { EndedReason, RevocationScope } from './ledger.ts'
import type { RefreshTokens } from './sessions.ts'

export interface EndSessionsDeps {
  db: Database
  refreshTokens: RefreshTokens
  audit: Audit
}

/** Ends sessions, each with its event, then everywhere. @throws `revocation_pending` once both are written. */
export async function endSessions(
  { db, refreshTokens, audit }: EndSessionsDeps,
  scope: RevocationScope,
  reason: EndedReason,
  type: 'logout' | 'session_end',
  origin: Origin,
): Promise<void> {
  const revocations = await db.$transaction(async (tx) => {
    const recorded = await refreshTokens.record(tx, scope, reason)
    const events = recorded
      .filter(({ isNew }) => isNew)
      .map(({ userId, sessionId }) => ({ type, outcome: 'success', reason, userId, sessionId }) as const)
    await audit.record(tx, events, origin)
    return recorded
  })
  await refreshTokens.propagate(revocations)
}
