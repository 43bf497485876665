import { randomBytes } from 'node:crypto'
import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import type { SessionEndedReason } from '../../reasons/reasons.ts'
import type { RotationRequest, Verdict } from './decide.ts'
import { type LedgerFamily, readFamily, rotateOnLedger } from './ledger-store.ts'
import type { RefreshTokenStore, StoreAnswer } from './redis-store.ts'
import type { WriteBehind } from './write-behind.ts'

export interface RotationDeps extends UsesPlatform<'db' | 'redisBreaker'> {
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
  const { db, store, redisBreaker, writeBehind } = deps

  return async (familyHash, presented) => {
    const arrived = performance.now()
    const request = () => ({ ...presented, waitedMs: Math.round(performance.now() - arrived) })
    try {
      const answer = await onRedis(familyHash, request)
      if (answer.outcome !== 'cold') return { verdict: answer, by: 'redis' }
    } catch (error) {
      if (!(error instanceof StoreUnavailable && error.store === 'redis')) throw error
    }
    // Redis may have rotated and its answer been lost. Rotating again here gives the same token.
    return { verdict: await onLedger(familyHash, request), by: 'ledger' }
  }

  async function onRedis(familyHash: string, request: () => RotationRequest): Promise<StoreAnswer> {
    let merge = ''
    // A server without an id is trusted only right after a merge.
    const conditions = () => ({
      merge,
      incarnation: deps.incarnation ?? merge,
      deadline: redisBreaker.deadline(),
    })
    const rotate = () => redisBreaker.run(() => store.rotate(familyHash, request(), conditions()))
    let answer = await rotate()
    for (let tries = 0; answer.outcome === 'cold' && tries < MAX_TRIES; tries += 1) {
      merge = randomBytes(16).toString('hex')
      const family = await readFamily(db, familyHash)
      if (!family) return { outcome: 'ended', reason: 'unknown' }
      const reason = endOf(family)
      if (reason) return ended(familyHash, family, reason)
      await redisBreaker.run(() => store.merge(familyHash, family, conditions()))
      // A change between the read and the merge may have reached Redis before the merge and been overwritten by it.
      const again = await readFamily(db, familyHash)
      if (again?.ended) return ended(familyHash, again, again.ended)
      if (again && again.generation > family.generation) {
        await redisBreaker.run(() => store.merge(familyHash, again, conditions()))
      }
      answer = await rotate()
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
