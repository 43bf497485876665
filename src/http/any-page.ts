import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

const CREDENTIALS = 'access-control-allow-credentials'

/**
 * A hook for a public document. A page of a listed origin has its origin named, so that it may also send credentials;
 * to any other page a browser shows the document only if they were not sent (Fetch §3.3).
 */
export function readableByAnyPage(_request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (!reply.hasHeader('access-control-allow-origin')) {
    reply.header('access-control-allow-origin', '*')
    if (reply.hasHeader(CREDENTIALS)) reply.removeHeader(CREDENTIALS)
  }
  done()
}

/** Answers preflights of any page for what any page may read: some headers, such as `DPoP`, are not sent without. */
export const anyPagePreflights = fp(async (app: FastifyInstance) => {
  const paths = new Set<string>()
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.anyPage) paths.add(url)
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const isPreflight = request.method === 'OPTIONS' && paths.has(request.url.split('?')[0] as string)
    if (isPreflight) readableByAnyPage(request, reply, () => done(null, payload))
    else done(null, payload)
  })
})
