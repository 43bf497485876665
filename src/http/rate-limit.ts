import type { FastifyReply, FastifyRequest } from 'fastify'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { Problem } from '../core/problems/problems.ts'
import type { Watch } from '../platform/circuit-breaker.ts'
import { clientKey } from '../platform/client-key.ts'
import type { RedisClient } from '../platform/redis.ts'

/** Takes one point of the client's budget; sets the `RateLimit` fields. @throws `too_many_attempts`. */
export type RateLimit = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

export interface RateLimits {
  /** A budget of `points` per `seconds` and client address; counted in Redis, in memory while it is away. */
  limit(name: string, points: number, seconds: number): RateLimit
}

export function createRateLimits(redis: RedisClient, redisBreaker: Watch, enabled: boolean): RateLimits {
  return {
    limit(name, points, seconds) {
      if (!enabled) return async () => {}
      const options = { keyPrefix: `rl:${name}`, points, duration: seconds }
      const memory = new RateLimiterMemory(options)
      const shared = new RateLimiterRedis({
        ...options,
        storeClient: redis,
        rejectIfRedisNotReady: true,
        inMemoryBlockOnConsumed: points + 1,
        insuranceLimiter: memory,
      })
      const policy = `"${name}";q=${points};w=${seconds}`
      return async (request, reply) => {
        let refused = false
        // Nobody waits for a Redis that is known to be away.
        const limiter = redisBreaker.away ? memory : shared
        const result = await limiter.consume(clientKey(request.ip)).catch((reason: unknown) => {
          // Anything but a verdict is a fault of the limiter's.
          if (!(reason instanceof RateLimiterRes)) throw reason
          refused = true
          return reason
        })
        const wait = Math.max(1, Math.ceil(result.msBeforeNext / 1000))
        reply.header('ratelimit-policy', policy)
        reply.header('ratelimit', `"${name}";r=${Math.max(0, result.remainingPoints)};t=${wait}`)
        if (refused) throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: wait })
      }
    },
  }
}
