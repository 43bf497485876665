import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { RedisClient } from '../../../platform/redis.ts'
import { type SessionEndedReason, toSessionEndedReason } from '../../reasons/reasons.ts'
import type { FamilyState, RotationRequest, Verdict } from './decide.ts'
import { INVALIDATE, MERGE, ROTATE, TOMBSTONE } from './scripts.lua.ts'
import {
  ISSUED_REPLY,
  MERGE_ARGUMENTS,
  positionsIn,
  ROTATE_ARGUMENTS,
  TOMBSTONE_ARGUMENTS,
  toArguments,
} from './wire.ts'

/** A family to merge into Redis. Times in milliseconds since the epoch. */
export type MergedFamily = Omit<FamilyState, 'ended'> & {
  /** The claims of the session's access tokens; opaque to the store. */
  claims: string
}

/** The conditions under which a command may run and use what it finds. */
export interface Conditions {
  /** Replaces the incarnation of a server that reports none. */
  incarnation: string
  /** The id of the caller's merge, or '' without one. */
  merge: string
  /** Milliseconds by Redis's clock. A command that arrives later does nothing. */
  deadline: number
}

export type StoreAnswer = Verdict | { outcome: 'cold' }

export interface Tombstone {
  familyHash: string
  reason: SessionEndedReason
  /** Milliseconds since the epoch. */
  absoluteExpiresAt: number
}

/** The hot path: every method takes one round trip. @throws {StoreUnavailable} when a command arrives too late. */
export interface RefreshTokenStore {
  rotate(familyHash: string, request: RotationRequest, conditions: Conditions): Promise<StoreAnswer>
  merge(familyHash: string, family: MergedFamily, conditions: Conditions): Promise<'merged' | 'ended'>
  writeTombstones(tombstones: readonly Tombstone[]): Promise<void>
  /** Marks families as cold, so that they are merged again; tombstones stay. */
  invalidate(familyHashes: readonly string[]): Promise<void>
}

type Argument = string | number

interface Scripts {
  ratchetRotate(key: string, ...args: Argument[]): Promise<[outcome: string, detail?: unknown]>
  ratchetMerge(key: string, ...args: Argument[]): Promise<'merged' | 'ended' | 'late'>
  ratchetTombstone(key: string, ...args: Argument[]): Promise<unknown>
  ratchetInvalidate(key: string): Promise<unknown>
}

// The braces put all keys of a family into the same Cluster slot.
const keyOf = (familyHash: string) => `rt:{${familyHash}}`

export function createRedisStore(redis: RedisClient): RefreshTokenStore {
  redis.defineCommand('ratchetRotate', { numberOfKeys: 1, lua: ROTATE })
  redis.defineCommand('ratchetMerge', { numberOfKeys: 1, lua: MERGE })
  redis.defineCommand('ratchetTombstone', { numberOfKeys: 1, lua: TOMBSTONE })
  redis.defineCommand('ratchetInvalidate', { numberOfKeys: 1, lua: INVALIDATE })
  const scripts = redis as unknown as Scripts

  return {
    async rotate(familyHash, request, { incarnation, merge, deadline }) {
      const args = toArguments(ROTATE_ARGUMENTS, {
        presented: request.presented,
        attempt: request.attempt,
        proven: request.proven,
        grace_ms: request.graceMs,
        idle_ttl_ms: request.idleTtlMs,
        fallback_incarnation: incarnation,
        merge,
        deadline,
        waited_ms: request.waitedMs,
      })
      return readAnswer(await scripts.ratchetRotate(keyOf(familyHash), ...args))
    },

    async merge(familyHash, family, { incarnation, merge, deadline }) {
      const args = toArguments(MERGE_ARGUMENTS, {
        fallback_incarnation: incarnation,
        generation: family.generation,
        rotated_at: family.rotatedAt,
        reissues: family.reissues,
        credits: family.credits,
        clean: family.clean,
        attempts: family.attempts,
        idle_expires_at: family.idleExpiresAt,
        absolute_expires_at: family.absoluteExpiresAt,
        binding: family.binding,
        claims: family.claims,
        merge,
        deadline,
      })
      const outcome = await scripts.ratchetMerge(keyOf(familyHash), ...args)
      if (outcome === 'late') throw new StoreUnavailable('redis', new Error('the merge arrived too late'))
      return outcome
    },

    // One command each, because a Cluster spreads the keys over nodes. Pipelining sends them together.
    async writeTombstones(tombstones) {
      await Promise.all(
        tombstones.map(({ familyHash, reason, absoluteExpiresAt }) => {
          const args = toArguments(TOMBSTONE_ARGUMENTS, { reason, absolute_expires_at: absoluteExpiresAt })
          return scripts.ratchetTombstone(keyOf(familyHash), ...args)
        }),
      )
    },

    async invalidate(familyHashes) {
      await Promise.all(familyHashes.map((familyHash) => scripts.ratchetInvalidate(keyOf(familyHash))))
    },
  }
}

const ISSUED = positionsIn(ISSUED_REPLY)

function readAnswer([outcome, detail]: readonly [outcome: string, detail?: unknown]): StoreAnswer {
  switch (outcome) {
    case 'late':
      throw new StoreUnavailable('redis', new Error('the command arrived too late'))
    case 'cold':
    case 'superseded':
      return { outcome }
    case 'reuse':
      return { outcome, claims: String(detail) }
    case 'ended':
      return { outcome, reason: toSessionEndedReason(String(detail)) }
    case 'rotate':
    case 'fast_forward':
    case 'reissue': {
      const issued = String(detail).split('\n')
      return {
        outcome,
        generation: Number(issued[ISSUED.generation]),
        rotatedAt: Number(issued[ISSUED.rotated_at]),
        idleExpiresAt: Number(issued[ISSUED.idle_expires_at]),
        absoluteExpiresAt: Number(issued[ISSUED.absolute_expires_at]),
        claims: String(issued[ISSUED.claims]),
        credits: Number(issued[ISSUED.credits]),
        clean: Number(issued[ISSUED.clean]),
        attempts: String(issued[ISSUED.attempts]),
      }
    }
    default:
      throw new Error(`the rotation script returned an unknown outcome: ${outcome}`)
  }
}
