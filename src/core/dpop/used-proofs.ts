import { randomBytes } from 'node:crypto'
import { StoreUnavailable } from '../../platform/circuit-breaker.ts'
import { INCARNATION } from '../../platform/incarnation.lua.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { spendOnce } from '../one-time/one-time.ts'
import { type Nonce, nonceEndsAt } from './nonces.ts'

/**
 * The proofs that have been used, so that none works twice (RFC 9449 §11.1). A nonce names the memory that keeps them: a
 * part of Redis that has lost nothing since, or Postgres. A proof is looked up in that memory only. If it is gone or
 * cannot be reached, the proof is refused and the client gets a nonce of another memory.
 */
export interface UsedProofs {
  /** The memory of proofs whose nonces are of this window. Postgres while Redis is unavailable. */
  memoryOf(window: number): Promise<string>
  /**
   * Notes a proof, by its SHA-256. `lost`: it cannot be known whether it was used.
   * @throws `unavailable` for a nonce of Postgres while that cannot be reached.
   */
  spend(nonce: Nonce, hash: Uint8Array<ArrayBuffer>): Promise<'first' | 'repeated' | 'lost'>
}

export interface UsedProofsOptions {
  /** Replaces the replication id of a Redis that has none; development only. */
  incarnation: string | undefined
}

const POSTGRES = '0'.repeat(16)

// KEYS: the proofs of one window, a hash: what Redis loses or evicts, it loses together with the name of the memory.
// ARGV: fallback incarnation, name of a new memory, its milliseconds, expected memory or '', proof.
// Returns the memory, '' if this server's data cannot be trusted; and 1 if the proof is new to it, 0 if not.
const SPEND = `${INCARNATION}
local current = incarnation(ARGV[1])
if current == '' then return { '', 0 } end
local known = redis.call('HMGET', KEYS[1], 'memory', 'incarnation')
local memory = known[1]
if not memory or known[2] ~= current then
  memory = ARGV[2]
  redis.call('HSET', KEYS[1], 'memory', memory, 'incarnation', current)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if memory ~= ARGV[4] then return { memory, 0 } end
return { memory, redis.call('HSET', KEYS[1], ARGV[5], '') }
`

interface Scripts {
  dpopSpend(key: string, ...args: (string | number)[]): Promise<[memory: string, added: number]>
}

export function createUsedProofs(
  { redis, redisBreaker, db, clock }: UsesPlatform<'redis' | 'redisBreaker' | 'db' | 'clock'>,
  { incarnation = '' }: UsedProofsOptions,
): UsedProofs {
  redis.defineCommand('dpopSpend', { numberOfKeys: 1, lua: SPEND })
  const scripts = redis as unknown as Scripts

  function ask(window: number, expected: string, proof: string): Promise<[memory: string, added: number]> {
    const ttl = nonceEndsAt({ window }) - clock.now()
    const args = [incarnation, randomBytes(8).toString('hex'), ttl, expected, proof]
    return redisBreaker.run(() => scripts.dpopSpend(`ratchet:dpop:${window}`, ...args))
  }

  return {
    async memoryOf(window) {
      try {
        const [memory] = await ask(window, '', '')
        return memory || POSTGRES
      } catch (error) {
        if (error instanceof StoreUnavailable) return POSTGRES
        throw error
      }
    },
    async spend(nonce, hash) {
      if (nonce.memory === POSTGRES)
        return (await spendOnce(db, hash, new Date(nonceEndsAt(nonce)))) ? 'first' : 'repeated'
      try {
        const [memory, added] = await ask(nonce.window, nonce.memory, Buffer.from(hash).toString('base64url'))
        if (memory !== nonce.memory) return 'lost'
        return added === 1 ? 'first' : 'repeated'
      } catch (error) {
        if (error instanceof StoreUnavailable) return 'lost'
        throw error
      }
    },
  }
}
