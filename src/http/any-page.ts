import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * A hook for a public document. A page of a listed origin has its origin named, so that it may also send credentials;
 * to any other page a browser shows the document only if they were not sent (Fetch §3.3).
 */
export function readableByAnyPage(_request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (!reply.hasHeader('access-control-allow-origin')) {
    reply.header('access-control-allow-origin', '*').removeHeader('access-control-allow-credentials')
  }
  done()
}
