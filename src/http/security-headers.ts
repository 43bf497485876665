import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** The headers that every API response needs; pages and public documents replace some of them. */
export const apiHeaders = ({ hsts }: { hsts: string | undefined }): Record<string, string> => ({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  ...(hsts ? { 'strict-transport-security': hsts } : {}),
})

export const securityHeaders = fp(async (app: FastifyInstance, options: { hsts: string | undefined }) => {
  const headers = apiHeaders(options)
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers)
    reply.header('x-request-id', request.id)
    done()
  })
})
