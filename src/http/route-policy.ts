import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { AdminAction } from '../core/events/events.ts'
import type { ProblemCode } from '../core/problems/problems.ts'
import type { Uses } from '../core/uses.ts'
import { createAuthenticateUser } from './authenticate.ts'
import type { LimitName, Limits } from './limits.ts'
import { createRequireAdministrator } from './require-administrator.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; anyone without it. */
    auth?: 'user' | { admin: AdminAction }
    /** The budget from which each call takes a point. */
    limit?: LimitName
    /** `Cache-Control` of a successful response; `no-store` without it. */
    cache?: string
  }
}

/** Adds the hooks of every route from the policy that is declared beside its schema. */
export const routePolicy = fp(
  async (
    app: FastifyInstance,
    services: Uses<'db' | 'sessions' | 'users' | 'events' | 'accessTokens'> & { limits: Limits },
  ) => {
    const authenticate = createAuthenticateUser(services.accessTokens)
    const requireAdministrator = createRequireAdministrator(services)
    app.decorateRequest('principal')

    app.addHook('onRoute', (route) => {
      const { auth, limit, cache } = route.config ?? {}
      route.onRequest = [
        ...(auth ? [authenticate] : []),
        ...(limit ? [services.limits[limit]] : []),
        ...(typeof auth === 'object' ? [requireAdministrator(auth.admin)] : []),
        ...[route.onRequest ?? []].flat(),
      ]
      if (cache) route.preHandler = [cacheFor(cache), ...[route.preHandler ?? []].flat()]
      if (auth && route.schema) route.schema.security = [{ bearer: [] }]
    })
  },
)

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
    ...(auth ? (['access_token_invalid'] as const) : []),
    ...(typeof auth === 'object' ? (['administrators_only', 'second_factor_needed'] as const) : []),
    ...(limit ? (['too_many_attempts'] as const) : []),
  ]
}
