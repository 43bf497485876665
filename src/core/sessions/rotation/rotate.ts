import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import type { SessionEndedReason } from '../../reasons/reasons.ts'
import type { LookVerdict, RotationRequest, Verdict } from './decide.ts'
import { createFamilyReader } from './family-reader.ts'
import { type LedgerFamily, lookOnLedger, rotateOnLedger } from './ledger-store.ts'
import {
  type Cold,
  type Conditions,
  conditionsNow,
  type Merge,
  type RefreshTokenStore,
} from './redis-store.ts'
import type { WriteBehind } from './write-behind.ts'

export interface RotationDeps extends UsesPlatform<'db' | 'query' | 'redisBreaker' | 'metrics'> {
  store: RefreshTokenStore
  writeBehind: Pick<WriteBehind, 'flush'>
  /** Replaces the replication id of a Redis that has none. */
  incarnation: string | undefined
}

export type Presented = Omit<RotationRequest, 'waitedMs'>

/** Gets the verdict on a token from Redis or, if that fails, from the ledger. */
export type Ask<Answer> = (
  familyHash: string,
  request: Presented,
) => Promise<{ verdict: Answer; by: 'redis' | 'ledger' }>

export interface Rotation {
  rotate: Ask<Verdict>
  /** Issues nothing; a reuse is applied as by a rotation. */
  look: Ask<LookVerdict>
}

/** How each store is asked. `Ended` is an answer of every question. */
interface Question<Answer> {
  onRedis(
    familyHash: string,
    request: RotationRequest,
    conditions: Conditions,
    merge?: Merge,
  ): Promise<Answer | Cold>
  onLedger(familyHash: string, request: RotationRequest): Promise<Answer | null>
}
type Ended = Extract<Verdict, { outcome: 'ended' }>

// A family that is still cold after these tries is decided on the ledger: Redis keeps losing it.
const MAX_TRIES = 3

export function createRotation(deps: RotationDeps): Rotation {
  const { db, query, store, redisBreaker, writeBehind, metrics, incarnation } = deps
  const readFamily = createFamilyReader(query)

  const rotate = ask<Verdict>({
    onRedis: store.rotate,
    async onLedger(familyHash, request) {
      const verdict = await rotateOnLedger(db, familyHash, request)
      // If Redis is available again, its entry of this family is now out of date.
      if (!redisBreaker.isOpen) await redisBreaker.run(() => store.invalidate([familyHash])).catch(() => {})
      return verdict
    },
  })
  const look = ask<LookVerdict>({
    onRedis: store.look,
    onLedger: (familyHash, request) => lookOnLedger(db, familyHash, request),
  })

  return {
    rotate: (familyHash, presented) => counted(rotate(familyHash, presented), () => true),
    // A look is no refresh, but the metric of reuses counts all of them.
    look: (familyHash, presented) => counted(look(familyHash, presented), (outcome) => outcome === 'reuse'),
  }

  async function counted<Answer extends { outcome: string }>(
    asked: ReturnType<Ask<Answer>>,
    counts: (outcome: string) => boolean,
  ): ReturnType<Ask<Answer>> {
    const answer = await asked
    const { verdict, by } = answer
    if (counts(verdict.outcome)) metrics.countRefresh(by === 'redis' ? 'redis' : 'postgres', verdict.outcome)
    return answer
  }

  function ask<Answer extends { outcome: string }>(question: Question<Answer | Ended>): Ask<Answer | Ended> {
    return async (familyHash, presented) => {
      const arrived = performance.now()
      const request = () => ({ ...presented, waitedMs: Math.round(performance.now() - arrived) })
      try {
        const answer = await onRedis(question, familyHash, request)
        if (!isCold(answer)) return { verdict: answer, by: 'redis' }
      } catch (error) {
        if (!(error instanceof StoreUnavailable && error.store === 'redis')) throw error
      }
      // Rotations that the ledger does not know yet are written first.
      await writeBehind.flush()
      // Redis may have rotated and its answer been lost. Rotating again here gives the same token.
      const verdict = await question.onLedger(familyHash, request())
      return { verdict: verdict ?? { outcome: 'ended', reason: 'unknown' }, by: 'ledger' }
    }
  }

  async function onRedis<Answer extends { outcome: string }>(
    question: Question<Answer | Ended>,
    familyHash: string,
    request: () => RotationRequest,
  ): Promise<Answer | Ended | Cold> {
    const decide = (merge?: Merge) =>
      redisBreaker.run(() =>
        question.onRedis(familyHash, request(), conditionsNow(redisBreaker, incarnation), merge),
      )
    let answer = await decide()
    // Without a mark nothing can be merged: such a server leaves every decision to the ledger.
    for (let tries = 0; isCold(answer) && answer.mark && tries < MAX_TRIES; tries += 1) {
      const family = await readFamily(familyHash)
      metrics.countColdFamily()
      if (!family) return { outcome: 'ended', reason: 'unknown' }
      const reason = endOf(family)
      if (reason) return ended(familyHash, family, reason)
      answer = await decide({ mark: answer.mark, family })
    }
    return answer
  }

  async function ended(familyHash: string, family: LedgerFamily, reason: SessionEndedReason): Promise<Ended> {
    if (family.ended) {
      const { absoluteExpiresAt } = family
      await redisBreaker.run(() => store.writeTombstones([{ familyHash, reason, absoluteExpiresAt }]))
    }
    return { outcome: 'ended', reason }
  }
}

const isCold = (answer: { outcome: string }): answer is Cold => answer.outcome === 'cold'

const endOf = (family: LedgerFamily): SessionEndedReason | '' =>
  family.ended || (Math.min(family.idleExpiresAt, family.absoluteExpiresAt) <= family.now ? 'expired' : '')
