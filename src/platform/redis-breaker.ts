import { Cluster } from 'ioredis'
import { type CircuitBreaker, createCircuitBreaker, type StoreMonitor } from './circuit-breaker.ts'
import { INCARNATION } from './incarnation.lua.ts'
import type { RedisClient } from './redis.ts'
import { STORE_TIMEOUT_MS } from './store-unavailable.ts'

/** A circuit breaker that also reads Redis's clock. */
export interface RedisBreaker extends CircuitBreaker {
  /** The latest time, in ms by Redis's clock, at which a command sent now may run; no limit before the first heartbeat. */
  deadline(): number
}

// Enough keys to reach every master of an ordinary cluster.
const HEARTBEAT_KEYS = Array.from({ length: 16 }, (_, index) => `ratchet:heartbeat:{${index}}`)
// A write, because a replica or a full server answers `PING` but cannot rotate tokens.
const HEARTBEAT = "redis.call('SET', KEYS[1], '1', 'PX', 1000) return redis.call('TIME')"
const READ_INCARNATION = `${INCARNATION} return incarnation('')`

const RECONNECT_MS = 1_000

export interface RedisBreakerOptions {
  /** Replaces the replication id of a server that has none. */
  incarnation?: string | undefined
  /** Milliseconds until a command without an answer fails. */
  timeoutMs?: number
}

export function createRedisBreaker(
  redis: RedisClient,
  monitor: StoreMonitor,
  { incarnation, timeoutMs = STORE_TIMEOUT_MS }: RedisBreakerOptions = {},
): RedisBreaker {
  const keys = redis instanceof Cluster ? HEARTBEAT_KEYS : HEARTBEAT_KEYS.slice(0, 1)
  /** Redis's clock minus this process's monotonic clock, in milliseconds. */
  let offset: number | undefined
  let reconnectedAt = Number.NEGATIVE_INFINITY
  // Said once.
  let isHidden = incarnation !== undefined

  async function probe(): Promise<void> {
    const sent = performance.now()
    const times = await Promise.all(
      keys.map((key) => redis.eval(HEARTBEAT, 1, key) as Promise<[string, string]>),
    ).catch(async (error: unknown) => {
      leaveReplica(error)
      // Redis does not say which command of a script it refuses.
      if (isRefusal(error) && /^(ERR|NOPERM).*script/i.test(error.message)) await checkRights(redis)
      throw error
    })
    const now = Math.max(
      ...times.map(([seconds, micros]) => Number(seconds) * 1_000 + Number(micros) / 1_000),
    )
    offset = now - sent
  }

  /** Another server may be the master by now, behind the same name. */
  function leaveReplica(cause: unknown): void {
    const isReplica = cause instanceof Error && /\bREADONLY\b/.test(cause.message)
    if (!isReplica || performance.now() - reconnectedAt < RECONNECT_MS) return
    reconnectedAt = performance.now()
    redis.disconnect(true)
  }

  const redisBreaker = createCircuitBreaker({
    name: 'redis',
    probe,
    // A dead connection may go unnoticed for 15 minutes; a new one shows at once whether Redis answers.
    onOpen(cause) {
      if (isRefusal(cause)) leaveReplica(cause)
      else redis.disconnect(true)
    },
    isRefusal,
    monitor,
    timeoutMs,
  })
  redis.on('close', () => redisBreaker.recordFailure(new Error('the connection was closed')))
  redisBreaker.beforeClosing(async () => {
    await checkRights(redis)
    if (isHidden || (await redis.eval(READ_INCARNATION, 1, keys[0] as string)) !== '') return
    isHidden = true
    monitor.log.warn({}, 'Redis hides its replication id, so that Postgres decides every refresh: allow INFO')
  })
  return Object.assign(redisBreaker, {
    deadline: () =>
      offset === undefined ? Number.MAX_SAFE_INTEGER : Math.floor(performance.now() + offset + timeoutMs),
  })
}

/** Whether a server that is alive has refused a command. */
const isRefusal = (cause: unknown): cause is Error => cause instanceof Error && cause.name === 'ReplyError'

const HASHES = ['rt:{check}', 'budget:{check}']
const HEARTBEAT_KEY = 'ratchet:heartbeat:{check}'
const STREAM = 'ratchet:{check}'
const UNKNOWN_SCRIPT = '0'.repeat(40)

/**
 * Runs every command that this server uses, on keys that expire at once: a heartbeat that needs fewer rights than the
 * work would succeed while the work fails. Only `INFO` may be missing.
 * @throws what Redis answers to the first that it refuses.
 */
async function checkRights(redis: RedisClient): Promise<void> {
  const db = redis instanceof Cluster ? 0 : (redis.options.db ?? 0)
  // The client goes on with database 0 when Redis refuses another one, and says nothing.
  if (db > 0) await redis.select(db)
  const later = Date.now() + 1_000
  const commands = HASHES.flatMap((key) => [
    redis.del(key),
    redis.hset(key, 'field', 1),
    redis.hincrby(key, 'field', 1),
    redis.hget(key, 'field'),
    redis.hmget(key, 'field'),
    redis.pexpire(key, 1_000),
    redis.pttl(key),
    redis.pexpireat(key, later),
  ])
  const streams = [
    redis.xadd(STREAM, 'MINID', '~', '0', '*', 'sid', ''),
    redis.xrange(STREAM, '-', '+', 'COUNT', 1),
    redis.xrevrange(STREAM, '+', '-', 'COUNT', 1),
    redis.xread('COUNT', 1, 'STREAMS', STREAM, '0'),
    redis.pexpire(STREAM, 1_000),
  ]
  const scripts = redis.evalsha(UNKNOWN_SCRIPT, 1, STREAM).catch((error: Error) => {
    if (!error.message.startsWith('NOSCRIPT')) throw error
  })
  const others = [scripts, redis.set(HEARTBEAT_KEY, '1', 'PX', 1_000), redis.time(), redis.ping()]
  const answers = await Promise.allSettled([...commands, ...streams, ...others])
  const refused = answers.find((answer) => answer.status === 'rejected')
  if (refused) throw refused.reason
}
