import type { FastifyReply, FastifyRequest } from 'fastify'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { Problem } from '../core/problems/problems.ts'
import { clientKey } from '../platform/client-key.ts'
import type { UsesPlatform } from '../platform/platform.ts'

/** The budgets of each client address: points per number of seconds. A route names the budget that it uses. */
const BUDGETS = {
  /** Large, because these are cheap to answer. */
  public: [600, 60],
  register: [20, 60],
  resend_verification: [20, 60],
  verify_email: [30, 60],
  login: [30, 60],
  login_mfa: [30, 60],
  login_passkey: [60, 60],
  unlock: [30, 60],
  keep_factors: [30, 60],
  /** Only refusals count, so that users who share an address are never limited for refreshing. */
  refresh_refused: [30, 60],
  logout: [60, 60],
  /** For every call that asks for the password again. */
  password_check: [20, 60],
  passkey: [30, 60],
  change_email: [20, 60],
  confirm_email_change: [30, 60],
  request_password_reset: [20, 60],
  reset_password: [30, 60],
  admin: [120, 60],
  /** Large, because the mail provider calls from few addresses; it retries refused calls. */
  webhooks: [1_200, 60],
} as const satisfies Record<string, readonly [points: number, seconds: number]>

export type LimitName = keyof typeof BUDGETS

/** Takes one point from a client's budget and sets the `RateLimit` fields. @throws `too_many_attempts`. */
export type TakePoint = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** One limiter for each name. It counts in Redis, or in memory while Redis is unavailable. */
export type Limits = Record<LimitName, TakePoint>

export function createLimits(stores: UsesPlatform<'redis' | 'redisBreaker'>, enabled: boolean): Limits {
  const entries = Object.entries(BUDGETS).map(([name, [points, seconds]]) => [
    name,
    enabled ? createLimiter(stores, name, points, seconds) : async () => {},
  ])
  return Object.fromEntries(entries) as Limits
}

function createLimiter(
  { redis, redisBreaker }: UsesPlatform<'redis' | 'redisBreaker'>,
  name: string,
  points: number,
  seconds: number,
): TakePoint {
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
    // No request waits for a Redis that is known to be unavailable.
    const limiter = redisBreaker.isOpen ? memory : shared
    const result = await limiter.consume(clientKey(request.ip)).catch((reason: unknown) => {
      // Anything but a refusal is an error of the limiter itself.
      if (!(reason instanceof RateLimiterRes)) throw reason
      refused = true
      return reason
    })
    const wait = Math.max(1, Math.ceil(result.msBeforeNext / 1000))
    reply.header('ratelimit-policy', policy)
    reply.header('ratelimit', `"${name}";r=${Math.max(0, result.remainingPoints)};t=${wait}`)
    if (refused) throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: wait })
  }
}
