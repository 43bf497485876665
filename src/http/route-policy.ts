import type {
  FastifyContextConfig,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RouteOptions,
} from 'fastify'
import fp from 'fastify-plugin'
import type { AdminScope } from '../core/clients/clients.ts'
import type { AdminAction, MachineAction } from '../core/events/events.ts'
import { isProblem, type ProblemCode } from '../core/problems/problems.ts'
import type { Uses } from '../core/uses.ts'
import { readableByAnyPage } from './any-page.ts'
import { createAuthenticate } from './authenticate.ts'
import { type LimitName, type Limits, settlePoints, type TakePoint } from './limits.ts'
import { createRequireAdministrator } from './require-administrator.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; anyone without it. `client`: also a client that has this scope, for itself. */
    auth?: 'user' | { admin: AdminAction } | { admin: MachineAction; client: AdminScope }
    /**
     * The budget from which each call takes a point; `in_handler` if the route itself takes points. A route without it
     * only reads.
     */
    limit?: LimitName | 'in_handler'
    /**
     * Names a budget of its own for a request that the shared one refuses, such as that of a known device; null if it
     * has none. It is asked only then, and once the body is valid.
     */
    ownBudget?: (request: FastifyRequest) => Promise<string | null>
    /** `Cache-Control` of a successful response; `no-store` without it. */
    cache?: string
    /** Whether pages of every origin may read the response. */
    anyPage?: boolean
  }
  interface FastifyRequest {
    /** The refusal of the shared budget, until it is known whether the request has one of its own. */
    refusal: Error | null
  }
}

/** Adds the hooks of every route from the policy that is declared beside its schema. */
export const routePolicy = fp(
  async (
    app: FastifyInstance,
    services: Uses<'db' | 'sessions' | 'users' | 'clients' | 'events' | 'accessTokens'> & { limits: Limits },
  ) => {
    const authenticate = createAuthenticate(services.accessTokens)
    const requireAdministrator = createRequireAdministrator(services)
    await app.register(settlePoints)
    app.decorateRequest('principal')
    app.decorateRequest('refusal', null)

    app.addHook('onRoute', (route) => {
      const { auth, limit, ownBudget, cache, anyPage } = route.config ?? {}
      if (!limit && MUTATING.some((method) => route.method.includes(method))) {
        throw new Error(`${route.method} ${route.url} has no limit: anybody could fill the database with it`)
      }
      const take = limit && limit !== 'in_handler' && services.limits[limit]
      route.onRequest = [
        ...(anyPage ? [readableByAnyPage] : []),
        ...(auth ? [forMachines(auth) ? authenticate.userOrClient : authenticate.user] : []),
        ...(take ? [ownBudget ? tryToTake(take) : takeShared(take)] : []),
        ...(typeof auth === 'object' ? [requireAdministrator(auth)] : []),
        ...[route.onRequest ?? []].flat(),
      ]
      if (take && ownBudget) {
        route.preHandler = [takeOwn(take, ownBudget), ...[route.preHandler ?? []].flat()]
      }
      if (cache) route.preHandler = [cacheFor(cache), ...[route.preHandler ?? []].flat()]
      if (auth && route.schema) route.schema.security = [{ bearer: [] }]
    })
  },
)

const forMachines = (auth: FastifyContextConfig['auth']) => typeof auth === 'object' && 'client' in auth

const MUTATING = ['POST', 'PUT', 'PATCH', 'DELETE']

// Fastify passes hooks more arguments than these.
const takeShared = (take: TakePoint) => (request: FastifyRequest, reply: FastifyReply) => take(request, reply)

const tryToTake = (take: TakePoint) => async (request: FastifyRequest, reply: FastifyReply) => {
  try {
    await take(request, reply)
  } catch (error) {
    if (!isProblem(error, 'too_many_attempts')) throw error
    request.refusal = error
  }
}

const takeOwn =
  (take: TakePoint, ownBudget: (request: FastifyRequest) => Promise<string | null>) =>
  async (request: FastifyRequest, reply: FastifyReply) => {
    if (!request.refusal) return
    const own = await ownBudget(request)
    if (own === null) throw request.refusal
    await take(request, reply, own)
  }

const cacheFor =
  (value: string) =>
  async (
    _request: FastifyRequest,
    reply: { header(name: string, value: string): unknown },
  ): Promise<void> => {
    reply.header('cache-control', value)
  }

/** The problems that the policy of a route can cause, for its documentation. */
export function policyProblems({ config }: RouteOptions): ProblemCode[] {
  const { auth, limit } = config ?? {}
  return [
    ...(auth ? (['access_token_invalid', 'access_token_expired', 'session_ended'] as const) : []),
    ...(typeof auth === 'object' ? (['administrators_only', 'second_factor_needed'] as const) : []),
    ...(forMachines(auth) ? (['insufficient_scope'] as const) : []),
    ...(limit && limit !== 'in_handler' ? (['too_many_attempts'] as const) : []),
  ]
}
