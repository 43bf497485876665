import type { Database, Queryable } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'
import { StoreAway, type Watch } from '../../platform/watch.ts'
import { type EndedReason, type Ending, type EndingScope, markTombstoned, recordEndings } from './ledger.ts'
import type { RefreshTokenStore } from './redis-store.ts'

/** Ending sessions: the ledger first, the tombstones second, then every node's access-token check. */
export interface Endings {
  /**
   * The ledger's half; `propagate` follows its commit. Returns all of the scope that Redis has not been told yet,
   * so that repeating a call that answered 503 carries on where it stopped.
   */
  record(tx: Queryable, scope: EndingScope, reason: EndedReason): Promise<Ending[]>
  /** @throws `revocation_pending`; the reconciler carries on where it stopped. */
  propagate(endings: readonly Ending[]): Promise<void>
  /** Tells Redis, whether it counts as away or not. @throws what Redis or the ledger throw. */
  carry(endings: readonly Ending[]): Promise<void>
}

/** Told of every ended session, so that its access tokens are refused at once. */
export interface RevokedSessions {
  /** On this node. */
  add(sessionId: string): void
  /** On every other node, through Redis. */
  publish(sessionIds: readonly string[]): Promise<void>
}

export interface EndingsDeps {
  db: Database
  store: RefreshTokenStore
  redisWatch: Watch
  revoked: RevokedSessions
  log: { warn(details: object, message: string): void }
}

export function createEndings(deps: EndingsDeps): Endings {
  const { db, store, redisWatch, revoked, log } = deps

  const tellRedis = (endings: readonly Ending[]) =>
    Promise.all([store.bury(endings), revoked.publish(endings.map(({ sessionId }) => sessionId))])

  async function propagate(endings: readonly Ending[]): Promise<void> {
    if (endings.length === 0) return
    for (const { sessionId } of endings) revoked.add(sessionId)
    try {
      await redisWatch.run(() => tellRedis(endings))
    } catch (cause) {
      if (!(cause instanceof StoreAway)) throw cause
      throw new Problem('revocation_pending', { retryAfter: 1 }, { cause })
    }
    await markTombstoned(db, endings).catch((error: Error) =>
      log.warn({ reason: error.name }, 'tombstones stand, but the ledger does not know it yet'),
    )
  }

  return {
    record: recordEndings,
    propagate,
    async carry(endings) {
      await tellRedis(endings)
      await markTombstoned(db, endings)
    },
  }
}
