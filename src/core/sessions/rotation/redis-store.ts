import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { RedisClient } from '../../../platform/redis.ts'
import type { RedisBreaker } from '../../../platform/redis-breaker.ts'
import { type SessionEndedReason, toSessionEndedReason } from '../../reasons/reasons.ts'
import type { FamilyState, LookVerdict, RotationRequest, Verdict } from './decide.ts'
import { INVALIDATE, MARK, MERGE, ROTATE, TOMBSTONE } from './scripts.lua.ts'
import {
  ISSUED_REPLY,
  LEDGER_FAMILY,
  LIVE_REPLY,
  MARK_ARGUMENTS,
  positionsIn,
  ROTATE_ARGUMENTS,
  TOMBSTONE_ARGUMENTS,
  toArguments,
} from './wire.ts'

/** A family to merge into Redis. Times in milliseconds since the epoch. */
export type LedgerState = Omit<FamilyState, 'ended'> & {
  /** The claims of the session's access tokens; opaque to the store. */
  claims: string
}

/** What was read from the ledger, and the mark that the family had before that. */
export interface Merge {
  mark: string
  family: LedgerState
}

/** The conditions under which a command may run and use what it finds. */
export interface Conditions {
  /** Replaces the incarnation of a server that reports none; '' if unknown. */
  incarnation: string
  /** Milliseconds by Redis's clock. A command that arrives later does nothing. */
  deadline: number
}

/** The conditions of a command that is sent now. */
export const conditionsNow = (
  redisBreaker: Pick<RedisBreaker, 'deadline'>,
  incarnation: string | undefined,
): Conditions => ({ incarnation: incarnation ?? '', deadline: redisBreaker.deadline() })

/** `mark` is what a merge has to name; '' by a server that has no incarnation: it cannot be used. */
export interface Cold {
  outcome: 'cold'
  mark: string
}
export type StoreAnswer = Verdict | Cold

export interface Tombstone {
  familyHash: string
  reason: SessionEndedReason
  /** Milliseconds since the epoch. */
  absoluteExpiresAt: number
}

/** The hot path: every method takes one round trip. @throws {StoreUnavailable} when a command arrives too late. */
export interface RefreshTokenStore {
  /** Rotates; a cold family only if it can be merged. */
  rotate(
    familyHash: string,
    request: RotationRequest,
    conditions: Conditions,
    merge?: Merge,
  ): Promise<StoreAnswer>
  /** Decides as a rotation would, and issues nothing: only a reuse is applied. */
  look(
    familyHash: string,
    request: RotationRequest,
    conditions: Conditions,
    merge?: Merge,
  ): Promise<LookVerdict | Cold>
  /** Marks a cold family, also one that is about to be written to the ledger; '' if it is not cold. */
  mark(familyHash: string, conditions: Conditions): Promise<string>
  /** Makes a marked family warm; does nothing if it has another mark, or a tombstone. */
  merge(familyHash: string, merge: Merge, conditions: Conditions): Promise<void>
  writeTombstones(tombstones: readonly Tombstone[]): Promise<void>
  /** Marks families as cold, so that they are merged again; tombstones stay. */
  invalidate(familyHashes: readonly string[]): Promise<void>
}

type Argument = string | number

interface Scripts {
  ratchetRotate(key: string, ...args: Argument[]): Promise<[outcome: string, detail?: unknown]>
  ratchetMark(key: string, ...args: Argument[]): Promise<string>
  ratchetMerge(key: string, ...args: Argument[]): Promise<unknown>
  ratchetTombstone(key: string, ...args: Argument[]): Promise<unknown>
  ratchetInvalidate(key: string): Promise<unknown>
}

/** The key of a family. The braces put all keys of a family into the same Cluster slot. */
export const keyOf = (familyHash: string) => `rt:{${familyHash}}`

export function createRedisStore(redis: RedisClient): RefreshTokenStore {
  redis.defineCommand('ratchetRotate', { numberOfKeys: 1, lua: ROTATE })
  redis.defineCommand('ratchetMark', { numberOfKeys: 1, lua: MARK })
  redis.defineCommand('ratchetMerge', { numberOfKeys: 1, lua: MERGE })
  redis.defineCommand('ratchetTombstone', { numberOfKeys: 1, lua: TOMBSTONE })
  redis.defineCommand('ratchetInvalidate', { numberOfKeys: 1, lua: INVALIDATE })
  const scripts = redis as unknown as Scripts

  const decide =
    <Answer>(look: '' | '1') =>
    async (
      familyHash: string,
      request: RotationRequest,
      { incarnation, deadline }: Conditions,
      merge?: Merge,
    ): Promise<Answer> => {
      const args = toArguments(ROTATE_ARGUMENTS, {
        presented: request.presented,
        attempt: request.attempt,
        presenter: request.client,
        authenticated: request.authenticated ? 1 : '',
        proven: request.proven,
        presenter_home: request.home,
        late_ms: request.lateMs,
        grace_ms: request.graceMs,
        idle_ttl_ms: request.idleTtlMs,
        fallback_incarnation: incarnation,
        deadline,
        waited_ms: request.waitedMs,
        look,
      })
      if (merge) args.push(...ledgerArguments(merge))
      return readAnswer(await scripts.ratchetRotate(keyOf(familyHash), ...args)) as Answer
    }

  return {
    rotate: decide<StoreAnswer>(''),
    look: decide<LookVerdict | Cold>('1'),

    mark: (familyHash, conditions) => scripts.ratchetMark(keyOf(familyHash), ...markArguments(conditions)),

    async merge(familyHash, merge, conditions) {
      await scripts.ratchetMerge(keyOf(familyHash), ...markArguments(conditions), ...ledgerArguments(merge))
    },

    // One command each, because a Cluster spreads the keys over nodes. The client sends them together.
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

const markArguments = ({ incarnation, deadline }: Conditions) =>
  toArguments(MARK_ARGUMENTS, { fallback_incarnation: incarnation, deadline })

const ledgerArguments = ({ mark, family }: Merge) =>
  toArguments(LEDGER_FAMILY, {
    mark,
    generation: family.generation,
    rotated_at: family.rotatedAt,
    reissues: family.reissues,
    credits: family.credits,
    clean: family.clean,
    attempts: family.attempts,
    idle_expires_at: family.idleExpiresAt,
    absolute_expires_at: family.absoluteExpiresAt,
    client: family.client,
    binding: family.binding,
    home: family.home,
    turns: family.turns,
    claims: family.claims,
  })

const ISSUED = positionsIn(ISSUED_REPLY)
const LIVE = positionsIn(LIVE_REPLY)

function readAnswer([outcome, detail]: readonly [outcome: string, detail?: unknown]):
  | StoreAnswer
  | LookVerdict {
  switch (outcome) {
    case 'late':
      throw new StoreUnavailable('redis', new Error('the command arrived too late'))
    case 'cold':
      return { outcome, mark: String(detail) }
    case 'superseded':
    case 'foreign':
    case 'unproven':
      return { outcome }
    case 'reuse':
      return { outcome, claims: String(detail) }
    case 'ended':
      return { outcome, reason: toSessionEndedReason(String(detail)) }
    case 'live': {
      const live = String(detail).split('\n')
      return {
        outcome,
        idleExpiresAt: Number(live[LIVE.idle_expires_at]),
        absoluteExpiresAt: Number(live[LIVE.absolute_expires_at]),
        claims: String(live[LIVE.claims]),
      }
    }
    case 'rotate':
    case 'fast_forward':
    case 'reissue':
    case 'late_reissue': {
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
        home: String(issued[ISSUED.home]),
        turns: String(issued[ISSUED.turns]),
      }
    }
    default:
      throw new Error(`the rotation script returned an unknown outcome: ${outcome}`)
  }
}
