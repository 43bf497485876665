import type { Redis } from 'ioredis'
import type { RotationRequest } from './decide.ts'
import { MERGE, ROTATE, TOMBSTONE } from './scripts.lua.ts'

/** A family as the ledger knows it. Times in milliseconds since the epoch. */
export interface LedgerFamily {
  generation: number
  rotatedAt: number
  attempt: string
  idleExpiresAt: number
  absoluteExpiresAt: number
  binding: string
  /** Opaque to the store: what an access token of this session says. */
  claims: string
}

export interface TurnedFamily {
  generation: number
  rotatedAt: number
  idleExpiresAt: number
  absoluteExpiresAt: number
  claims: string
}

export type StoreAnswer =
  | ({ outcome: 'rotate' | 'adopt' | 'reissue' } & TurnedFamily)
  | { outcome: 'cold' | 'superseded' }
  | { outcome: 'ended'; reason: string }
  /** Its tombstone stands; the ledger has yet to record it. */
  | { outcome: 'reuse'; claims: string }

/** The hot path. Every method costs one round trip and rejects when Redis does not answer in time. */
export interface RefreshTokenStore {
  rotate(familyHash: string, request: RotationRequest, incarnation: string): Promise<StoreAnswer>
  merge(familyHash: string, family: LedgerFamily, incarnation: string): Promise<'merged' | 'ended'>
  bury(endings: readonly { familyHash: string; reason: string; absoluteExpiresAt: number }[]): Promise<void>
}

interface Scripts {
  ratchetRotate(key: string, ...args: (string | number)[]): Promise<[string, ...(string | number)[]]>
  ratchetMerge(key: string, ...args: (string | number)[]): Promise<'merged' | 'ended'>
}

// The braces keep a family on one Cluster slot, whatever is stored beside it later.
const keyOf = (familyHash: string) => `rt:{${familyHash}}`

export function createRedisStore(redis: Redis): RefreshTokenStore {
  redis.defineCommand('ratchetRotate', { numberOfKeys: 1, lua: ROTATE })
  redis.defineCommand('ratchetMerge', { numberOfKeys: 1, lua: MERGE })
  redis.defineCommand('ratchetTombstone', { numberOfKeys: 1, lua: TOMBSTONE })
  const scripts = redis as unknown as Scripts

  return {
    async rotate(familyHash, request, incarnation) {
      const { presented, attempt, proven, graceMs, idleTtlMs } = request
      const key = keyOf(familyHash)
      const answer = await scripts.ratchetRotate(
        key,
        presented,
        attempt,
        proven,
        graceMs,
        idleTtlMs,
        incarnation,
      )
      const outcome = answer[0] as StoreAnswer['outcome']
      switch (outcome) {
        case 'cold':
        case 'superseded':
          return { outcome }
        case 'reuse':
          return { outcome, claims: String(answer[1]) }
        case 'ended':
          return { outcome, reason: String(answer[1]) }
        default:
          return {
            outcome,
            generation: Number(answer[1]),
            rotatedAt: Number(answer[2]),
            idleExpiresAt: Number(answer[3]),
            absoluteExpiresAt: Number(answer[4]),
            claims: String(answer[5]),
          }
      }
    },

    merge(familyHash, family, incarnation) {
      return scripts.ratchetMerge(
        keyOf(familyHash),
        incarnation,
        family.generation,
        family.rotatedAt,
        family.attempt,
        family.idleExpiresAt,
        family.absoluteExpiresAt,
        family.binding,
        family.claims,
      )
    },

    async bury(endings) {
      if (endings.length === 0) return
      const pipeline = redis.pipeline() as unknown as {
        ratchetTombstone(key: string, reason: string, expiresAt: number): void
        exec(): Promise<[Error | null, unknown][]>
      }
      for (const ending of endings) {
        pipeline.ratchetTombstone(keyOf(ending.familyHash), ending.reason, ending.absoluteExpiresAt)
      }
      for (const [error] of await pipeline.exec()) if (error) throw error
    },
  }
}
