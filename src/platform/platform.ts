import type { CircuitBreaker } from './circuit-breaker.ts'
import { type Clock, createHeldClock, systemClock } from './clock.ts'
import { type Database, openDatabase, type Query } from './database.ts'
import type { DatabaseTarget } from './database-login.ts'
import type { DatabasePoll } from './database-poll.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { createOutages, type Outages } from './outages.ts'
import { firstContact, openRedis, type RedisClient, type RedisConnection } from './redis.ts'
import { createRedisBreaker, type RedisBreaker } from './redis-breaker.ts'
import { createRedisLogins } from './redis-login.ts'
import type { ConnectionReport } from './redis-outages.ts'
import type { RedisServers } from './redis-url.ts'
import { createRetryQueue, type RetryQueue } from './retry-queue.ts'
import { createSecrets, type Secrets } from './secrets.ts'
import { STORE_TIMEOUT_MS } from './store-unavailable.ts'
import { createTransact, type Transact } from './transact.ts'

/** What every part of the server is built on. */
export interface Platform {
  clock: Clock
  log: Log
  metrics: Metrics
  secrets: Secrets
  db: Database
  query: Query
  poll: DatabasePoll
  transact: Transact
  databaseBreaker: CircuitBreaker
  redis: RedisClient
  redisBreaker: RedisBreaker
  retryQueue: RetryQueue
  outages: Outages
  /** Opens another connection to Redis, for a reader that blocks. */
  connectRedis(): RedisConnection
}

/** The parts of the platform that something uses. */
export type UsesPlatform<Part extends keyof Platform> = Pick<Platform, Part>

export interface PlatformOptions {
  database: DatabaseTarget
  databasePoolSize: number
  redis: RedisServers
  /** PEM of the authorities that signed Redis's certificates; the public ones without it. */
  redisCa: string | undefined
  /** Replaces the replication id of a Redis that has none; development only. */
  redisIncarnation: string | undefined
  /** Milliseconds after which a silent store counts as unavailable. */
  storeTimeoutMs: number
  /** Newest first. */
  appSecrets: readonly string[]
}

export interface OpenPlatform {
  platform: Platform
  /** Resolves once each store has been tried. Postgres comes first: the ledger knows what Redis missed. */
  start(): Promise<void>
  stop(): Promise<void>
}

const SILENT: ConnectionReport = { warn() {}, explain() {} }

/**
 * Connects to the stores; nothing runs before `start`.
 * @param clock by default this machine's, held to Postgres's.
 */
export function openPlatform(
  options: PlatformOptions,
  clock: Clock | undefined,
  { log, metrics }: Pick<Platform, 'log' | 'metrics'>,
): OpenPlatform {
  const { storeTimeoutMs: timeoutMs } = options
  const outages = createOutages({ log, metrics })
  const monitor = { log, metrics, outages }
  const { close, ...database } = openDatabase({
    ...options.database,
    poolSize: options.databasePoolSize,
    timeoutMs,
    monitor,
  })
  // Of a cluster, one server can be unavailable by itself.
  const isCluster = options.redis.kind === 'cluster'
  const report: ConnectionReport = {
    warn(fields, message) {
      if (isCluster) log.warn(fields, message)
    },
    explain: (cause) => outages.explain('redis', cause),
  }
  const redisOptions = {
    ca: options.redisCa,
    timeoutMs,
    logins: createRedisLogins(options.redis, log),
  }
  const connection = openRedis(options.redis, report, redisOptions)
  const { redis } = connection
  // Redis answers a reader that blocks only after a while.
  const readerMs = Math.max(timeoutMs, STORE_TIMEOUT_MS)
  const redisBreaker = createRedisBreaker(redis, monitor, {
    incarnation: options.redisIncarnation,
    timeoutMs,
  })
  const retryQueue = createRetryQueue(monitor)
  return {
    platform: {
      clock: clock ?? createHeldClock(systemClock, { poll: database.poll, log }),
      log,
      metrics,
      secrets: createSecrets(options.appSecrets),
      ...database,
      transact: createTransact(database.db),
      redis,
      redisBreaker,
      retryQueue,
      outages,
      // Both connections fail together; logging one is enough.
      connectRedis: () => openRedis(options.redis, SILENT, { ...redisOptions, timeoutMs: readerMs }),
    },
    async start() {
      await firstContact(redis)
      await database.databaseBreaker.start()
      await redisBreaker.start()
      await database.poll.start()
    },
    async stop() {
      await redisBreaker.stop()
      connection.close()
      await close()
      outages.stop()
    },
  }
}
