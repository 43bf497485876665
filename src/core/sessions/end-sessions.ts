import { isStoreUnavailable } from '../../platform/database.ts'
import type { Transact, Transaction } from '../../platform/transact.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import { Problem } from '../problems/problems.ts'
import type { EndedReason } from '../reasons/reasons.ts'
import type { LockedUser } from '../users/users.ts'
import type { Revoke } from './revocation.ts'
import { BATCH, type Revocation, type RevocationScope } from './revocation-rows.ts'
import type { Look } from './rotation/refresh.ts'
import type { RefreshToken } from './rotation/token.ts'

export interface EndSessionsDeps {
  transact: Transact
  events: Pick<Events, 'record'>
  revoke: Revoke
}

/**
 * Ends all sessions in the scope and records an audit event for each. @throws `revocation_pending` after both are
 * written; with very many sessions, some may be left.
 */
export async function endSessions(
  { transact, events, revoke }: EndSessionsDeps,
  scope: RevocationScope,
  reason: EndedReason,
  type: 'logout' | 'session_end',
  context: RequestContext,
): Promise<void> {
  const endBatch = () =>
    transact(async (tx) => {
      const revocations = await revoke(tx, scope, reason)
      await events.record(tx, eventsOf(revocations, reason, type), context)
      return revocations.length
    })
  while ((await endBatch()) >= BATCH);
}

/**
 * Ends the sessions of tokens that a client gives up for those of a newer session. It gets these in any case. A look at
 * each comes first: what ends by a reuse must not be recorded as given up, and the token of a third party is not given up.
 */
export async function endReplaced(
  deps: EndSessionsDeps & { look(token: RefreshToken, context: RequestContext): Promise<Look> },
  replaced: readonly RefreshToken[],
  context: RequestContext,
): Promise<void> {
  if (replaced.length === 0) return
  const familyHashes: string[] = []
  try {
    for (const token of replaced)
      if ((await deps.look(token, context)).outcome === 'live') familyHashes.push(token.familyHash)
    await endSessions(deps, { familyHashes }, 'signed_in_again', 'session_end', context)
  } catch (error) {
    // If the ledger has it, the reconciler completes it.
    if (!(error instanceof Problem) && !isStoreUnavailable(error)) throw error
  }
}

/**
 * Ends the sessions of a locked user, or of a client for them, that were used longest ago, so that one more can begin.
 * What begins does not fail because of them.
 */
export async function makeRoom(
  { events, revoke }: Pick<EndSessionsDeps, 'events' | 'revoke'>,
  tx: Transaction,
  { id: userId }: LockedUser,
  { most, now, clientId }: { most: number; now: number; clientId?: string | undefined },
  context: RequestContext,
): Promise<void> {
  const scope = { userId, exceptLastUsed: most - 1, now: new Date(now), ...(clientId ? { clientId } : {}) }
  const reason = 'too_many_sessions'
  const revocations = await revoke(tx, scope, reason, { mayBePending: true })
  await events.record(tx, eventsOf(revocations, reason, 'session_end'), context)
}

function eventsOf(
  revocations: readonly Revocation[],
  reason: EndedReason,
  type: 'logout' | 'session_end',
): AuditEvent[] {
  return revocations
    .filter(({ isNew }) => isNew)
    .map(({ userId, sessionId }) => {
      const ended = { outcome: 'success', reason, userId, sessionId } as const
      // TypeScript does not check a product of two unions as large as these.
      return type === 'logout' ? { type, ...ended } : { type, ...ended }
    })
}
