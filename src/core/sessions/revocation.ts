import { StoreUnavailable } from '../../platform/circuit-breaker.ts'
import { faultOf } from '../../platform/fault.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { afterCommit, type Transaction } from '../../platform/transact.ts'
import { isProblem, Problem } from '../problems/problems.ts'
import type { EndedReason } from '../reasons/reasons.ts'
import {
  markTombstoned,
  type Revocation,
  type RevocationScope,
  recordRevocations,
} from './revocation-rows.ts'
import type { RevokedTokens } from './revoked-tokens.ts'
import type { RefreshTokenStore } from './rotation/redis-store.ts'

/** Ends sessions in a transaction and registers what must happen after its commit. */
export type Revoke = (
  tx: Transaction,
  scope: RevocationScope,
  reason: EndedReason,
  options?: { mayBePending?: boolean },
) => Promise<readonly Revocation[]>

/** Revokes sessions: first in the ledger, then in Redis, which informs every node. */
export interface Revocations {
  /**
   * Ends sessions. After the commit it makes every node refuse their tokens. If that fails, `transact` rejects with
   * `revocation_pending` unless `mayBePending`, and the reconciler completes it.
   */
  revoke: Revoke
  /** Sends them to Redis again, even while its circuit breaker is open. @throws what Redis or the ledger throws. */
  replay(revocations: readonly Revocation[]): Promise<void>
}

export interface RevocationsDeps extends UsesPlatform<'db' | 'redisBreaker' | 'log'> {
  store: Pick<RefreshTokenStore, 'writeTombstones'>
  revoked: Pick<RevokedTokens, 'addSession'>
  /** Sends them to every other node, through Redis. */
  publish(sessionIds: readonly string[]): Promise<void>
}

export function createRevocations(deps: RevocationsDeps): Revocations {
  const { db, store, redisBreaker, revoked, publish, log } = deps

  const writeToRedis = (revocations: readonly Revocation[]) =>
    Promise.all([store.writeTombstones(revocations), publish(revocations.map(({ sessionId }) => sessionId))])

  async function propagate(revocations: readonly Revocation[]): Promise<void> {
    for (const { sessionId } of revocations) revoked.addSession(sessionId)
    try {
      await redisBreaker.run(() => writeToRedis(revocations))
    } catch (cause) {
      if (!(cause instanceof StoreUnavailable)) throw cause
      throw new Problem('revocation_pending', { retryAfter: 1 }, { cause })
    }
    await markTombstoned(db, revocations).catch((error: Error) =>
      log.warn({ reason: faultOf(error) }, 'tombstones were written but not marked in the ledger'),
    )
  }

  return {
    async revoke(tx, scope, reason, { mayBePending = false } = {}) {
      const revocations = await recordRevocations(tx, scope, reason)
      const effect = () =>
        propagate(revocations).catch((error: unknown) => {
          if (!mayBePending || !isProblem(error, 'revocation_pending')) throw error
        })
      if (revocations.length > 0) afterCommit(tx, effect)
      return revocations
    },
    async replay(revocations) {
      await writeToRedis(revocations)
      await markTombstoned(db, revocations)
    },
  }
}
