import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { RedisClient } from '../../../platform/redis.ts'
import type { FamilyState, RotationRequest } from './decide.ts'
import { INVALIDATE, MERGE, ROTATE, TOMBSTONE } from './scripts.lua.ts'

/** What a family is brought up with. Times in milliseconds since the epoch. */
export type MergedFamily = Omit<FamilyState, 'ended'> & {
  /** Opaque to the store: what an access token of this session says. */
  claims: string
}

/** What a rotation left behind. Times in milliseconds since the epoch. */
export interface RotatedFamily {
  generation: number
  rotatedAt: number
  idleExpiresAt: number
  absoluteExpiresAt: number
  claims: string
  credits: number
  clean: number
  attempts: string
}

/** How far a command may be believed. */
export interface Standing {
  /** Stands in for the id of a server that has none. */
  incarnation: string
  /** Names the caller's merge, '' if it made none. */
  merge: string
  /** Milliseconds by Redis's clock after which the command, still on its way, must do nothing. */
  deadline: number
}

/** What a store makes of a presented token. */
export type Verdict =
  | ({ outcome: 'rotate' | 'fast_forward' | 'reissue' } & RotatedFamily)
  | { outcome: 'superseded' }
  | { outcome: 'ended'; reason: string }
  /** No more tokens for this family; the ledger may have yet to record it. */
  | { outcome: 'reuse'; claims: string }

export type StoreAnswer = Verdict | { outcome: 'cold' }

/** The hot path. Every method costs one round trip. @throws {StoreUnavailable} what ran too late, and did nothing. */
export interface RefreshTokenStore {
  rotate(familyHash: string, request: RotationRequest, standing: Standing): Promise<StoreAnswer>
  merge(familyHash: string, family: MergedFamily, standing: Standing): Promise<'merged' | 'ended'>
  writeTombstones(
    revocations: readonly { familyHash: string; reason: string; absoluteExpiresAt: number }[],
  ): Promise<void>
  /** Makes families come up cold; tombstones stay. */
  invalidate(familyHashes: readonly string[]): Promise<void>
}

interface Scripts {
  ratchetRotate(key: string, ...args: (string | number)[]): Promise<[string, ...(string | number)[]]>
  ratchetMerge(key: string, ...args: (string | number)[]): Promise<'merged' | 'ended' | 'late'>
  ratchetTombstone(key: string, reason: string, expiresAt: number): Promise<unknown>
  ratchetInvalidate(key: string): Promise<unknown>
}

// The braces keep a family on one Cluster slot, whatever is stored beside it later.
const keyOf = (familyHash: string) => `rt:{${familyHash}}`

export function createRedisStore(redis: RedisClient): RefreshTokenStore {
  redis.defineCommand('ratchetRotate', { numberOfKeys: 1, lua: ROTATE })
  redis.defineCommand('ratchetMerge', { numberOfKeys: 1, lua: MERGE })
  redis.defineCommand('ratchetTombstone', { numberOfKeys: 1, lua: TOMBSTONE })
  redis.defineCommand('ratchetInvalidate', { numberOfKeys: 1, lua: INVALIDATE })
  const scripts = redis as unknown as Scripts

  return {
    async rotate(familyHash, request, { incarnation, merge, deadline }) {
      const { presented, attempt, proven, waitedMs, graceMs, idleTtlMs } = request
      const key = keyOf(familyHash)
      const answer = await scripts.ratchetRotate(
        key,
        presented,
        attempt,
        proven,
        graceMs,
        idleTtlMs,
        incarnation,
        merge,
        deadline,
        waitedMs,
      )
      const outcome = answer[0] as StoreAnswer['outcome'] | 'late'
      switch (outcome) {
        case 'late':
          throw new StoreUnavailable('redis', new Error('the command came too late'))
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
            credits: Number(answer[6]),
            clean: Number(answer[7]),
            attempts: String(answer[8]),
          }
      }
    },

    async merge(familyHash, family, { incarnation, merge, deadline }) {
      const outcome = await scripts.ratchetMerge(
        keyOf(familyHash),
        incarnation,
        family.generation,
        family.rotatedAt,
        family.reissues,
        family.credits,
        family.clean,
        family.attempts,
        family.idleExpiresAt,
        family.absoluteExpiresAt,
        family.binding,
        family.claims,
        merge,
        deadline,
      )
      if (outcome === 'late') throw new StoreUnavailable('redis', new Error('the merge came too late'))
      return outcome
    },

    // One by one, on whichever node of a Cluster each belongs: what is asked in one turn of the loop is sent at once.
    async writeTombstones(revocations) {
      await Promise.all(
        revocations.map(({ familyHash, reason, absoluteExpiresAt }) =>
          scripts.ratchetTombstone(keyOf(familyHash), reason, absoluteExpiresAt),
        ),
      )
    },

    async invalidate(familyHashes) {
      await Promise.all(familyHashes.map((familyHash) => scripts.ratchetInvalidate(keyOf(familyHash))))
    },
  }
}
