import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { Origin } from '../core/events/events.ts'

/** Where a request comes from, for the audit trail and the list of sessions. */
export function requestContext({ ip, headers, id }: FastifyRequest): Origin {
  // Behind a proxy that passes on what it is told, a stranger writes it: nobody shall read that as an address.
  return { ip: isIP(ip) ? ip : 'unknown', userAgent: headers['user-agent']?.slice(0, 256), requestId: id }
}
