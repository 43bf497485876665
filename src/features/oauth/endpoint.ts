import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { type AuthenticateClientUses, authenticateClient } from './authenticate-client.ts'

// What the endpoints that clients call have in common (RFC 6749 §3.2).

export const consumes = ['application/x-www-form-urlencoded']
export const security = [{ client: [] }, {}]
export const refusals = ['invalid_request', 'invalid_client', 'too_many_attempts'] as const
export const config = { errors: 'oauth', limit: 'in_handler', anyPage: true } as const
export const open = { additionalProperties: true } as const

export const Parameter = Type.Optional(Type.String())

/** How a client authenticates in the body. */
export const CLIENT = {
  client_id: Parameter,
  client_secret: Parameter,
  client_assertion: Parameter,
  client_assertion_type: Parameter,
}

/** A hook that authenticates the client and takes a point of its budget. */
export const authenticated =
  (uses: AuthenticateClientUses, limit: 'token' | 'introspect') =>
  (request: FastifyRequest, reply: FastifyReply): Promise<void> =>
    authenticateClient(uses, limit, request, reply)
