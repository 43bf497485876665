import type { FastifyRequest } from 'fastify'
import { isProblem, type Problem } from '../core/problems/problems.ts'
import { bearerOf } from './authenticate.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Where clients read which authorization server this API belongs to (RFC 9728 §3). */
    resourceMetadata: string | undefined
  }
}

const REALM = 'ratchet'

/** A challenge of `WWW-Authenticate` (RFC 9110 §11.6.1). What is undefined is left out. */
export function challenge(scheme: 'Bearer' | 'DPoP', parameters: Record<string, string | undefined>): string {
  const given = Object.entries({ realm: REALM, ...parameters }).filter(([, value]) => value !== undefined)
  return `${scheme} ${given.map(([name, value]) => `${name}="${value}"`).join(', ')}`
}

/**
 * The challenge of a refusal by this server's own API, with all scopes that the call needs; null for a refusal that no
 * other token would change. A request without a token learns nothing of an error (RFC 6750 §3.1).
 */
export function challengeOf(request: FastifyRequest, problem: Problem): string | null {
  const { auth } = request.routeOptions?.config ?? {}
  const { status } = problem
  const isRefused = status === 401 || status === 403
  const isScope = isProblem(problem, 'insufficient_scope')
  const isAge = isProblem(problem, 'insufficient_user_authentication')
  if (!isRefused || !(auth || isScope || isAge || isOfBearer(problem, request))) return null
  const { client: needed } = (typeof auth === 'object' ? auth : {}) as { client?: string }
  return challenge('Bearer', {
    error: errorOf(request, problem),
    scope: isScope ? problem.members.scope : needed,
    max_age: isAge ? String(problem.members.max_age) : undefined,
    resource_metadata: request.server?.resourceMetadata,
  })
}

function errorOf(request: FastifyRequest, problem: Problem): string | undefined {
  if (isProblem(problem, 'insufficient_scope') || isProblem(problem, 'insufficient_user_authentication'))
    return problem.code
  return isOfBearer(problem, request) && bearerOf(request) !== undefined ? 'invalid_token' : undefined
}

/** Whether a problem is about the access token of the request (RFC 6750 §3.1). */
const isOfBearer = ({ code }: Problem, { headers }: FastifyRequest) =>
  code === 'access_token_invalid' ||
  code === 'access_token_expired' ||
  (code === 'session_ended' && headers.authorization !== undefined)
