import { Cluster, type Redis } from 'ioredis'
import { INCARNATION } from '../../../platform/incarnation.lua.ts'
import type { RedisClient } from '../../../platform/redis.ts'
import { type SessionEndedReason, toSessionEndedReason } from '../../reasons/reasons.ts'
import type { RotatedFamily } from '../rotation/decide.ts'
import { keyOf } from '../rotation/redis-store.ts'
import { ISSUED_REPLY, positionsIn } from '../rotation/wire.ts'

/** What Redis knows of a family. Live are only those whose history it has without a gap. */
export type RedisFamily =
  | { state: 'live' | 'cold'; family: RotatedFamily }
  | { state: 'ended'; reason: SessionEndedReason }
  | { state: 'unknown' }

export interface RedisFamilies {
  inspect(familyHashes: readonly string[]): Promise<RedisFamily[]>
  /** The hashes of all families in Redis, some at a time; a family can come twice. */
  all(): AsyncIterable<string[]>
}

/**
 * KEYS[1] the family's hash
 * ARGV    the incarnation of a server that reports none, or ''
 * Returns the state and, of a live or cold family, its fields in the order of ISSUED_REPLY; of an ended one the reason
 */
const INSPECT = `${INCARNATION}
local known = redis.call('HMGET', KEYS[1], 'ended', 'generation', 'incarnation', 'merge')
local ended, generation, merge = known[1], known[2], known[4]
if ended and ended ~= '' then return { 'ended', ended } end
if not generation then return { 'unknown' } end
local id = incarnation(ARGV[1])
local is_cold = id == '' or known[3] ~= id or (merge and merge ~= '')
return { is_cold and 'cold' or 'live', redis.call('HMGET', KEYS[1], ${ISSUED_REPLY.map((name) => `'${name}'`).join(', ')}) }
`

const SCAN_COUNT = 1_000
const FIELDS = positionsIn(ISSUED_REPLY)

/** @param incarnation replaces the replication id of a Redis that has none; development only. */
export function openRedisFamilies(redis: RedisClient, incarnation: string | undefined): RedisFamilies {
  redis.defineCommand('ratchetInspect', { numberOfKeys: 1, lua: INSPECT })
  const scripts = redis as unknown as {
    ratchetInspect(key: string, incarnation: string): Promise<[state: string, detail?: unknown]>
  }
  return {
    inspect: (familyHashes) =>
      Promise.all(
        familyHashes.map(async (familyHash) =>
          read(await scripts.ratchetInspect(keyOf(familyHash), incarnation ?? '')),
        ),
      ),
    async *all() {
      const masters: Redis[] = redis instanceof Cluster ? redis.nodes('master') : [redis]
      for (const master of masters) {
        for await (const keys of master.scanStream({ match: keyOf('*'), count: SCAN_COUNT }))
          yield (keys as string[]).map((key) => key.slice(keyOf('').length - 1, -1))
      }
    },
  }
}

function read([state, detail]: [state: string, detail?: unknown]): RedisFamily {
  switch (state) {
    case 'ended':
      return { state, reason: toSessionEndedReason(String(detail)) }
    case 'live':
    case 'cold':
      return { state, family: readFamily(detail as (string | null)[]) }
    default:
      return { state: 'unknown' }
  }
}

function readFamily(values: readonly (string | null)[]): RotatedFamily {
  const text = (name: keyof typeof FIELDS) => values[FIELDS[name]] ?? ''
  return {
    generation: Number(text('generation')),
    rotatedAt: Number(text('rotated_at')),
    idleExpiresAt: Number(text('idle_expires_at')),
    absoluteExpiresAt: Number(text('absolute_expires_at')),
    claims: text('claims'),
    credits: Number(text('credits')),
    clean: Number(text('clean')),
    attempts: text('attempts'),
    home: text('home'),
    turns: text('turns'),
  }
}
