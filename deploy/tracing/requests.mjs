import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

/**
 * Makes a span of each request but those of probes, continues the caller's trace, and names the trace in the log.
 * Nothing of the URL, of other headers than `traceparent` and `tracestate`, or of the bodies is in it.
 */
export function traceRequests(fastify, tracer) {
  fastify.addHook('onRequest', (request, reply, done) => {
    const { method, routeOptions } = request
    const { url: route, config } = routeOptions
    if (config?.probe) return done()
    const isServed = route !== undefined && route !== '*'
    const caller = propagation.extract(ROOT_CONTEXT, request.headers)
    const span = tracer.startSpan(
      isServed ? `${method} ${route}` : method,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': method,
          ...(isServed ? { 'http.route': route } : {}),
          'ratchet.request_id': request.id,
        },
      },
      caller,
    )
    request.log = reply.log = request.log.child({ trace_id: span.spanContext().traceId })
    // Also emitted when the client has gone.
    reply.raw.once('close', () => end(span, request, reply))
    context.with(trace.setSpan(caller, span), done)
  })
}

function end(span, { problemCode }, { raw, statusCode }) {
  if (raw.headersSent) {
    span.setAttribute('http.response.status_code', statusCode)
    if (statusCode >= 500) {
      span.setAttribute('error.type', problemCode ?? String(statusCode))
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
  }
  span.end()
}
