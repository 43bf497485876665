import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

const NOTHING = { type: 'object', additionalProperties: false, properties: {} }

/** JSON only, and nothing that a schema does not name: neither in the body nor in the query. */
export const input = fp(async (app: FastifyInstance) => {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // A cookie call has nothing to say in its body: browsers then send none.
    if (body === '') return done(null, {})
    return parseJson(request, body as string, done)
  })
  app.addHook('preValidation', async (request) => {
    if (request.body === undefined && request.method !== 'GET') request.body = {}
  })
  // Tokens in a URL end in logs and histories (RFC 6750 §5.3): no route takes what it does not declare.
  app.addHook('onRoute', (route) => {
    if (route.schema && !route.schema.querystring) route.schema.querystring = NOTHING
  })
})
