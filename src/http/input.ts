import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Problem } from '../core/problems/problems.ts'

// A lenient decoder would make one password of many.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const NOTHING = { type: 'object', additionalProperties: false, properties: {} }

/** JSON only, and nothing that a schema does not name: neither in the body nor in the query. */
export const input = fp(async (app: FastifyInstance) => {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    let body: string
    try {
      body = utf8.decode(bytes as Buffer)
    } catch {
      return done(new Problem('validation_failed', { detail: 'The body is not valid UTF-8.' }), undefined)
    }
    // A cookie call has nothing to say in its body: browsers then send none.
    if (body === '') return done(null, {})
    return parseJson(request, body, done)
  })
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.body === undefined && request.method !== 'GET') request.body = {}
    done()
  })
  // Tokens in a URL end in logs and histories (RFC 6750 §5.3): no route takes what it does not declare.
  app.addHook('onRoute', (route) => {
    if (route.schema && !route.schema.querystring) route.schema.querystring = NOTHING
  })
})
