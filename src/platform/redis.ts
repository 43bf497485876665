import { Redis } from 'ioredis'

/**
 * A connection that fails fast: nothing waits for a server that is away, and nothing is silently sent
 * again after a reconnect. A command that may or may not have run is the caller's to repeat.
 */
export function openRedis(url: string, log: { warn(details: object, message: string): void }): Redis {
  const redis = new Redis(url, {
    connectTimeout: 1_000,
    commandTimeout: 1_000,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(times * 50, 1_000),
  })
  let healthy = true
  redis.on('error', (error: Error) => {
    if (healthy) log.warn({ reason: error.message }, 'redis is away')
    healthy = false
  })
  redis.on('ready', () => {
    healthy = true
  })
  return redis
}

/** Resolves when the first connection stands, or after `timeoutMs`: a server starts without its Redis. */
export async function firstContact(redis: Redis, timeoutMs = 2_000): Promise<void> {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs)
    redis.once('ready', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
