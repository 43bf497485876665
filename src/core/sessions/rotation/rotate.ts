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
  /** Stands in for the replication id of a Redis that has none. */
  incarnation: string | undefined
}

export type Presented = Omit<RotationRequest, 'waitedMs'>

/** Asks the stores what becomes of a token. */
export type Rotate = (
  familyHash: string,
  request: Presented,
) => Promise<{ verdict: Verdict; by: 'redis' | 'ledger' }>

// A family that stays cold belongs to a Redis that forgets faster than it is told.
const MAX_TRIES = 3

export function createRotate(deps: RotationDeps): Rotate {
  const { db, store, redisBreaker, writeBehind } = deps

  return async (familyHash, presented) => {
    const came = performance.now()
    const request = () => ({ ...presented, waitedMs: Math.round(performance.now() - came) })
    try {
      const answer = await onRedis(familyHash, request)
      if (answer.outcome !== 'cold') return { verdict: answer, by: 'redis' }
    } catch (error) {
      if (!(error instanceof StoreUnavailable && error.store === 'redis')) throw error
    }
    // A rotation that Redis may have made, and whose answer was lost, is made again here: it gives the same token.
    return { verdict: await onLedger(familyHash, request), by: 'ledger' }
  }

  async function onRedis(familyHash: string, request: () => RotationRequest): Promise<StoreAnswer> {
    let merge = ''
    // A server without an id is believed only right after we told it everything.
    const standing = () => ({
      merge,
      incarnation: deps.incarnation ?? merge,
      deadline: redisBreaker.deadline(),
    })
    const rotate = () => redisBreaker.run(() => store.rotate(familyHash, request(), standing()))
    let answer = await rotate()
    for (let tries = 0; answer.outcome === 'cold' && tries < MAX_TRIES; tries += 1) {
      merge = randomBytes(16).toString('hex')
      const family = await readFamily(db, familyHash)
      if (!family) return { outcome: 'ended', reason: 'unknown' }
      const reason = endOf(family)
      if (reason) return ended(familyHash, family, reason)
      await redisBreaker.run(() => store.merge(familyHash, family, standing()))
      // What the ledger learnt between the reading and the merge, Redis may have been told before the merge.
      const again = await readFamily(db, familyHash)
      if (again?.ended) return ended(familyHash, again, again.ended)
      if (again && again.generation > family.generation) {
        await redisBreaker.run(() => store.merge(familyHash, again, standing()))
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
    // What this process knows and the ledger does not is written first.
    await writeBehind.flush()
    const verdict = await rotateOnLedger(db, familyHash, request())
    // Redis came back while the ledger rotated: what it holds of this family is old now.
    if (!redisBreaker.isOpen) await redisBreaker.run(() => store.invalidate([familyHash])).catch(() => {})
    return verdict ?? { outcome: 'ended', reason: 'unknown' }
  }
}

const endOf = (family: LedgerFamily): SessionEndedReason | '' =>
  family.ended || (Math.min(family.idleExpiresAt, family.absoluteExpiresAt) <= family.now ? 'expired' : '')
