import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { RedisClient } from '../../../platform/redis.ts'
import { type SessionEndedReason, toSessionEndedReason } from '../../reasons/reasons.ts'
import type { FamilyState, RotationRequest, Verdict } from './decide.ts'
import { INVALIDATE, MERGE, ROTATE, TOMBSTONE } from './scripts.lua.ts'
import {
  fromReply,
  ISSUED_REPLY,
  MERGE_ARGUMENTS,
  ROTATE_ARGUMENTS,
  TOMBSTONE_ARGUMENTS,
  toArguments,
} from './wire.ts'

/** What a family is brought up with. Times in milliseconds since the epoch. */
export type MergedFamily = Omit<FamilyState, 'ended'> & {
  /** Opaque to the store: what an access token of this session says. */
  claims: string
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

export type StoreAnswer = Verdict | { outcome: 'cold' }

export interface Tombstone {
  familyHash: string
  reason: SessionEndedReason
  /** Milliseconds since the epoch. */
  absoluteExpiresAt: number
}

/** The hot path. Every method costs one round trip. @throws {StoreUnavailable} what ran too late, and did nothing. */
export interface RefreshTokenStore {
  rotate(familyHash: string, request: RotationRequest, standing: Standing): Promise<StoreAnswer>
  merge(familyHash: string, family: MergedFamily, standing: Standing): Promise<'merged' | 'ended'>
  writeTombstones(tombstones: readonly Tombstone[]): Promise<void>
  /** Makes families come up cold; tombstones stay. */
  invalidate(familyHashes: readonly string[]): Promise<void>
}

type Argument = string | number

interface Scripts {
  ratchetRotate(key: string, ...args: Argument[]): Promise<[outcome: string, ...unknown[]]>
  ratchetMerge(key: string, ...args: Argument[]): Promise<'merged' | 'ended' | 'late'>
  ratchetTombstone(key: string, ...args: Argument[]): Promise<unknown>
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
      if (outcome === 'late') throw new StoreUnavailable('redis', new Error('the merge came too late'))
      return outcome
    },

    // One by one, each on its node of a Cluster: what is asked in one turn of the event loop is sent at once.
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

function readAnswer(answer: readonly [outcome: string, ...unknown[]]): StoreAnswer {
  const [outcome, detail] = answer
  switch (outcome) {
    case 'late':
      throw new StoreUnavailable('redis', new Error('the command came too late'))
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
      const reply = fromReply(ISSUED_REPLY, answer)
      return {
        outcome,
        generation: Number(reply.generation),
        rotatedAt: Number(reply.rotated_at),
        idleExpiresAt: Number(reply.idle_expires_at),
        absoluteExpiresAt: Number(reply.absolute_expires_at),
        claims: reply.claims,
        credits: Number(reply.credits),
        clean: Number(reply.clean),
        attempts: reply.attempts,
      }
    }
    default:
      throw new Error(`the rotation script gave an answer that its caller does not know: ${outcome}`)
  }
}
