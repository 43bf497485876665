import type { FastifyRequest } from 'fastify'
import type { By } from '../../core/client-registry/client-registry.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'

/** The administrator who changes the registry of clients. */
export const byAdministrator = (request: FastifyRequest): By => ({
  actor: userOf(request).userId,
  context: contextOf(request),
  isOperator: false,
})
