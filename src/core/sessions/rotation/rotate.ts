import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import type { SessionEndedReason } from '../../reasons/reasons.ts'
import type { RotationRequest, Verdict } from './decide.ts'
import { createFamilyReader } from './family-reader.ts'
import { type LedgerFamily, rotateOnLedger } from './ledger-store.ts'
import { conditionsNow, type Merge, type RefreshTokenStore, type StoreAnswer } from './redis-store.ts'
import type { WriteBehind } from './write-behind.ts'

export interface RotationDeps extends UsesPlatform<'db' | 'query' | 'redisBreaker' | 'metrics'> {
  store: RefreshTokenStore
  writeBehind: Pick<WriteBehind, 'flush'>
  /** Replaces the replication id of a Redis that has none. */
  incarnation: string | undefined
}

export type Presented = Omit<RotationRequest, 'waitedMs'>

/** Gets the verdict on a token from Redis or, if that fails, from the ledger. */
export type Rotate = (
  familyHash: string,
  request: Presented,
) => Promise<{ verdict: Verdict; by: 'redis' | 'ledger' }>

// A family that is still cold after these tries is rotated on the ledger: Redis keeps losing it.
const MAX_TRIES = 3

export function createRotate(deps: RotationDeps): Rotate {
  const { db, query, store, redisBreaker, writeBehind, metrics, incarnation } = deps
  const readFamily = createFamilyReader(query)

  return async (familyHash, presented) => {
    const arrived = performance.now()
    const request = () => ({ ...presented, waitedMs: Math.round(performance.now() - arrived) })
    try {
      const answer = await onRedis(familyHash, request)
      if (answer.outcome !== 'cold') {
        metrics.countRefresh('redis', answer.outcome)
        return { verdict: answer, by: 'redis' }
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable && error.store === 'redis')) throw error
    }
    // Redis may have rotated and its answer been lost. Rotating again here gives the same token.
    const verdict = await onLedger(familyHash, request)
    metrics.countRefresh('postgres', verdict.outcome)
    return { verdict, by: 'ledger' }
  }

  async function onRedis(familyHash: string, request: () => RotationRequest): Promise<StoreAnswer> {
    const rotate = (merge?: Merge) =>
      redisBreaker.run(() =>
        store.rotate(familyHash, request(), conditionsNow(redisBreaker, incarnation), merge),
      )
    let answer = await rotate()
    // Without a mark nothing can be merged: such a server leaves every rotation to the ledger.
    for (let tries = 0; answer.outcome === 'cold' && answer.mark && tries < MAX_TRIES; tries += 1) {
      const family = await readFamily(familyHash)
      metrics.countColdFamily()
      if (!family) return { outcome: 'ended', reason: 'unknown' }
      const reason = endOf(family)
      if (reason) return ended(familyHash, family, reason)
      answer = await rotate({ mark: answer.mark, family })
    }
    return answer
  }

  async function ended(
    familyHash: string,
    family: LedgerFamily,
    reason: SessionEndedReason,
  ): Promise<Verdict> {
    if (family.ended) {
      const { absoluteExpiresAt } = family
      await redisBreaker.run(() => store.writeTombstones([{ familyHash, reason, absoluteExpiresAt }]))
    }
    return { outcome: 'ended', reason }
  }

  async function onLedger(familyHash: string, request: () => RotationRequest): Promise<Verdict> {
    // Rotations that the ledger does not know yet are written first.
    await writeBehind.flush()
    const verdict = await rotateOnLedger(db, familyHash, request())
    // If Redis is available again, its entry of this family is now out of date.
    if (!redisBreaker.isOpen) await redisBreaker.run(() => store.invalidate([familyHash])).catch(() => {})
    return verdict ?? { outcome: 'ended', reason: 'unknown' }
  }
}

const endOf = (family: LedgerFamily): SessionEndedReason | '' =>
  family.ended || (Math.min(family.idleExpiresAt, family.absoluteExpiresAt) <= family.now ? 'expired' : '')
