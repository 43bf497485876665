import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isProblem, Problem } from '../core/problems/problems.ts'
import { type Budgets, createBudgets, type Point } from '../platform/budgets.ts'
import { clientKey } from '../platform/client-key.ts'
import type { UsesPlatform } from '../platform/platform.ts'
import type { LimitName, RouteBudgets } from '../platform/route-budgets.ts'

export type { LimitName } from '../platform/route-budgets.ts'

/**
 * Budgets that only refusals spend: a request that is answered with success gives its point back, so that people who
 * share an address are not refused for each other's right passwords. The others are spent by every request.
 */
const OF_REFUSALS: ReadonlySet<LimitName> = new Set([
  'login',
  'login_mfa',
  'login_passkey',
  'client_refused',
  'logout',
  'verify_email',
  'unlock',
  'confirm_email_change',
  'reset_password',
  'device_code',
])

declare module 'fastify' {
  interface FastifyRequest {
    /** The point that the answer spends or gives back. */
    point: (Point & { isRefused?: boolean }) | null
  }
}

/**
 * Takes one point and sets the `RateLimit` fields. By default the budget is that of the user who is signed in, of the client
 * that calls for itself, or else of the network address; `own` names another. @throws `too_many_attempts`.
 */
export type TakePoint = (request: FastifyRequest, reply: FastifyReply, own?: string) => Promise<void>

export type Limits = Record<LimitName, TakePoint>

export function createLimits(
  stores: UsesPlatform<'redis' | 'redisBreaker'>,
  routes: RouteBudgets,
  enabled: boolean,
): Limits {
  const budgets = createBudgets(stores)
  const names = Object.keys(routes) as LimitName[]
  const entries = names.map((name) => [name, enabled ? createLimit(budgets, name, routes) : async () => {}])
  return Object.fromEntries(entries) as Limits
}

function createLimit(budgets: Budgets, name: LimitName, routes: RouteBudgets): TakePoint {
  const budget = routes[name]
  const policy = `"${name}";q=${budget.points};w=${budget.seconds}`
  return async (request, reply, own = ownerOf(request)) => {
    const spend = !OF_REFUSALS.has(name)
    const answer = await budgets.take(`${name}:${own}`, budget, { spend })
    const isRefused = 'waitMs' in answer
    const wait = Math.max(1, Math.ceil((isRefused ? answer.waitMs : answer.resetsInMs) / 1000))
    reply.header('ratelimit-policy', policy)
    reply.header('ratelimit', `"${name}";r=${isRefused ? 0 : answer.remaining};t=${wait}`)
    if (isRefused) throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: wait })
    if (!spend) request.point = answer
  }
}

function ownerOf({ principal, ip }: FastifyRequest): string {
  if (principal?.kind === 'user') return `user:${principal.userId}`
  return principal?.kind === 'client' ? `client:${principal.clientId}` : clientKey(ip)
}

/** For a refusal that is answered like a success. */
export function spendPoint(request: FastifyRequest): void {
  if (request.point) request.point.isRefused = true
}

/** For a request that is refused for another reason than its budget counts, if it is refused at all. */
export function giveBackPoint(request: FastifyRequest): void {
  request.point?.giveBack()
  request.point = null
}

/** Spends the points of refused requests. Those of the others are given back, also where the server failed. */
export const settlePoints = fp(async (app: FastifyInstance) => {
  app.decorateRequest('point', null)
  app.addHook('onError', (request, _reply, error, done) => {
    // The first half of a right sign-in, or of a right step-up.
    if (isProblem(error, 'mfa_required')) giveBackPoint(request)
    done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const { point } = request
    if (point) {
      const isRefused = reply.statusCode >= 400 && reply.statusCode < 500
      if (isRefused || point.isRefused) point.spend()
      else point.giveBack()
      request.point = null
    }
    done(null, payload)
  })
})
