import type { FastifyRequest } from 'fastify'
import type { Principal, UserPrincipal } from '../core/principals/principals.ts'
import { Problem } from '../core/problems/problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who makes the request, on routes whose policy has `auth`. */
    principal: Principal
  }
}

/** The user in a session who makes the request. @throws `access_token_invalid` for any other principal. */
export function userOf({ principal }: FastifyRequest): UserPrincipal {
  if (principal?.kind !== 'user') throw new Problem('access_token_invalid')
  return principal
}

/** Who acts, for audit events: the user's id or the client's. @throws `access_token_invalid` for any other principal. */
export function actorOf(request: FastifyRequest): string {
  const { principal } = request
  return principal?.kind === 'client' ? principal.clientId : userOf(request).userId
}
