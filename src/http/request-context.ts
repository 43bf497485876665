import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { RequestContext } from '../core/events/events.ts'

/** Where a request comes from, for audit events and the list of sessions. */
export function contextOf({ ip, headers, id }: FastifyRequest): RequestContext {
  // Behind a proxy that passes on what it is told, a stranger writes it: nobody shall read that as an address.
  return { ip: isIP(ip) ? ip : 'unknown', userAgent: headers['user-agent']?.slice(0, 256), requestId: id }
}
