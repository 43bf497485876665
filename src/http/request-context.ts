import type { FastifyRequest } from 'fastify'
import type { RequestContext } from '../core/events/events.ts'

/** The context of a request, for audit events and the list of sessions. */
export function contextOf(request: FastifyRequest): RequestContext {
  const { ip, headers, id } = request
  return {
    ip,
    userAgent: headers['user-agent']?.slice(0, 256),
    requestId: id,
    acceptLanguage: headers['accept-language']?.slice(0, 256),
    concerns({ userId, sessionId }) {
      if (userId) request.concerned = { userId, ...(sessionId ? { sessionId } : {}) }
    },
  }
}
