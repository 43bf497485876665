import { StoreUnavailable } from '../../platform/circuit-breaker.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { afterCommit, type Transaction } from '../../platform/transact.ts'
import { Problem } from '../problems/problems.ts'
import type { EndedReason } from '../reasons/reasons.ts'
import {
  markTombstoned,
  type Revocation,
  type RevocationScope,
  recordRevocations,
} from './revocation-rows.ts'
import type { RevokedTokens } from './revoked-tokens.ts'
import type { RefreshTokenStore } from './rotation/redis-store.ts'

/** Ends sessions in a transaction; what has to follow its commit follows by itself. */
export type Revoke = (
  tx: Transaction,
  scope: RevocationScope,
  reason: EndedReason,
) => Promise<readonly Revocation[]>

/** Ending sessions: the ledger first, the tombstones second, then the check of access tokens on every node. */
export interface Revocations {
  /**
   * Ends sessions. Once the transaction has committed, every node refuses their tokens; the transaction then rejects
   * with `revocation_pending` if that could not be brought about yet: the reconciler does it.
   */
  revoke: Revoke
  /** Tells Redis again, whether its circuit breaker is open or not. @throws what Redis or the ledger throw. */
  replay(revocations: readonly Revocation[]): Promise<void>
}

export interface RevocationsDeps extends UsesPlatform<'db' | 'redisBreaker' | 'log'> {
  store: Pick<RefreshTokenStore, 'writeTombstones'>
  revoked: Pick<RevokedTokens, 'addSession'>
  /** Tells every other node, through Redis. */
  publish(sessionIds: readonly string[]): Promise<void>
}

export function createRevocations(deps: RevocationsDeps): Revocations {
  const { db, store, redisBreaker, revoked, publish, log } = deps

  const tellRedis = (revocations: readonly Revocation[]) =>
    Promise.all([store.writeTombstones(revocations), publish(revocations.map(({ sessionId }) => sessionId))])

  async function propagate(revocations: readonly Revocation[]): Promise<void> {
    for (const { sessionId } of revocations) revoked.addSession(sessionId)
    try {
      await redisBreaker.run(() => tellRedis(revocations))
    } catch (cause) {
      if (!(cause instanceof StoreUnavailable)) throw cause
      throw new Problem('revocation_pending', { retryAfter: 1 }, { cause })
    }
    await markTombstoned(db, revocations).catch((error: Error) =>
      log.warn({ reason: error.name }, 'tombstones are written, but the ledger does not know it yet'),
    )
  }

  return {
    async revoke(tx, scope, reason) {
      const revocations = await recordRevocations(tx, scope, reason)
      if (revocations.length > 0) afterCommit(tx, () => propagate(revocations))
      return revocations
    },
    async replay(revocations) {
      await tellRedis(revocations)
      await markTombstoned(db, revocations)
    },
  }
}
