import { StoreUnavailable, type Watch } from '../../platform/circuit-breaker.ts'
import type { Database, Queryable } from '../../platform/database.ts'
import { Problem } from '../problems/problems.ts'
import {
  type EndedReason,
  markTombstoned,
  type Revocation,
  type RevocationScope,
  recordRevocations,
} from './ledger.ts'
import type { RefreshTokenStore } from './rotation/redis-store.ts'

/** Revocation sessions: the ledger first, the tombstones second, then every node's access-token check. */
export interface Revocations {
  /**
   * The ledger's half; `propagate` follows its commit. Returns all of the scope that Redis has not been told yet,
   * so that repeating a call that answered 503 carries on where it stopped.
   */
  record(tx: Queryable, scope: RevocationScope, reason: EndedReason): Promise<Revocation[]>
  /** @throws `revocation_pending`; the reconciler carries on where it stopped. */
  propagate(revocations: readonly Revocation[]): Promise<void>
  /** Tells Redis, whether it counts as away or not. @throws what Redis or the ledger throw. */
  replay(revocations: readonly Revocation[]): Promise<void>
}

/** Told of every ended session, so that its access tokens are refused at once. */
export interface RevokedSessions {
  /** On this node. */
  add(sessionId: string): void
  /** On every other node, through Redis. */
  publish(sessionIds: readonly string[]): Promise<void>
}

export interface RevocationsDeps {
  db: Database
  store: RefreshTokenStore
  redisBreaker: Watch
  revoked: RevokedSessions
  log: { warn(details: object, message: string): void }
}

export function createRevocations(deps: RevocationsDeps): Revocations {
  const { db, store, redisBreaker, revoked, log } = deps

  const tellRedis = (revocations: readonly Revocation[]) =>
    Promise.all([
      store.writeTombstones(revocations),
      revoked.publish(revocations.map(({ sessionId }) => sessionId)),
    ])

  async function propagate(revocations: readonly Revocation[]): Promise<void> {
    if (revocations.length === 0) return
    for (const { sessionId } of revocations) revoked.add(sessionId)
    try {
      await redisBreaker.run(() => tellRedis(revocations))
    } catch (cause) {
      if (!(cause instanceof StoreUnavailable)) throw cause
      throw new Problem('revocation_pending', { retryAfter: 1 }, { cause })
    }
    await markTombstoned(db, revocations).catch((error: Error) =>
      log.warn({ reason: error.name }, 'tombstones stand, but the ledger does not know it yet'),
    )
  }

  return {
    record: recordRevocations,
    propagate,
    async replay(revocations) {
      await tellRedis(revocations)
      await markTombstoned(db, revocations)
    },
  }
}
