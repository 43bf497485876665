import type { FastifyRequest } from 'fastify'
import type { Origin } from '../core/audit/audit.ts'

/** Where a request comes from, for the audit trail and the list of sessions. */
export function originOf(request: FastifyRequest): Origin {
  return { ip: request.ip, userAgent: request.headers['user-agent']?.slice(0, 256), requestId: request.id }
}
