import type { FastifyInstance, FastifyRequest, preParsingHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { Problem } from '../core/problems/problems.ts'

// A lenient decoder would turn different passwords into the same one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const COMPRESSED = { detail: 'The body is compressed, which is not supported.' }
const NOTHING = { type: 'object', additionalProperties: false, properties: {} }

/** Accepts only JSON, and only query parameters that a schema declares. */
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
    // A call with a cookie needs no body, and browsers then send none.
    if (body === '') return done(null, {})
    return parseJson(request, body, done)
  })
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.body === undefined && request.method !== 'GET') request.body = {}
    done()
  })
  // Tokens in a URL end up in logs and histories (RFC 6750 §5.3), so undeclared parameters are refused.
  app.addHook('onRoute', (route) => {
    // Before any parser, as forms have one of their own. What is only read has no body.
    if (route.method !== 'GET') route.preParsing = [route.preParsing ?? [], refuseCompressed].flat()
    if (route.schema && !route.schema.querystring) route.schema.querystring = NOTHING
  })
})

const refuseCompressed: preParsingHookHandler = (request, _reply, payload, done) =>
  done(isCompressed(request) ? new Problem('unsupported_media_type', COMPRESSED) : null, payload)

/** By its own coding (RFC 9110 §8.4), or by one of the transfer (RFC 9112 §7). */
function isCompressed({ headers }: FastifyRequest): boolean {
  const { 'content-type': type, 'content-encoding': content, 'transfer-encoding': transfer } = headers
  if (type === undefined) return false
  return (
    (content !== undefined && content.toLowerCase() !== 'identity') ||
    (transfer !== undefined && transfer.toLowerCase() !== 'chunked')
  )
}
