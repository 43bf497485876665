import type { FastifyRequest } from 'fastify'
import { Problem } from '../core/problems/problems.ts'
import { isLoopback } from '../platform/loopback.ts'

/**
 * Refuses requests for other hosts than this machine and `PUBLIC_URL`'s. A web page could let its own name lead to this
 * machine (DNS rebinding) and read the inbox, with all its links. @throws `host_not_allowed`.
 */
export function requireOwnHost(publicUrl: string): (request: FastifyRequest) => void {
  const own = new URL(publicUrl).hostname
  return ({ headers }) => {
    // The header itself: a proxy's `X-Forwarded-Host` is any text that a page can send.
    const host = /^(\[[\da-f:.]+\]|[^:]+)(?::\d*)?$/i.exec(headers.host ?? '')?.[1]
    if (host && (host.toLowerCase() === own || isLoopback(host))) return
    const detail =
      'The development server answers to localhost and to the host of PUBLIC_URL. Set PUBLIC_URL to this address.'
    throw new Problem('host_not_allowed', { detail })
  }
}
