// Sends traces of requests: `node --import ./deploy/tracing/tracing.mjs dist/server.js` (docs/operations.md).
// OpenTelemetry itself reads the OTEL_* variables.
import { subscribe } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { createFailureReport } from './failures.mjs'
import { traceRequests } from './requests.mjs'
import { traceStores } from './stores.mjs'

/** Milliseconds for which a server that stops waits for a collector. */
const FLUSH_MS = 2_000

const failures = createFailureReport()
const provider = new NodeTracerProvider({
  resource: defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'ratchet' }))
    .merge(detectResources({ detectors: [envDetector] })),
  spanProcessors: [new BatchSpanProcessor(failures.watch(new OTLPTraceExporter()))],
})
// Without baggage: nothing here reads it, and anybody can send it.
provider.register({ propagator: new W3CTraceContextPropagator() })
const tracer = provider.getTracer('ratchet')

traceStores(tracer)
// The framework is in the bundle, where no hook of modules finds it. It says itself when there is a new server.
subscribe('fastify.initialization', ({ fastify }) => {
  traceRequests(fastify, tracer)
  failures.logTo(fastify.log)
  // It was added first, so that it runs last: all requests have their answers by then.
  fastify.addHook('onClose', async () => {
    const late = new AbortController()
    const flushed = provider.forceFlush().catch(() => {})
    await Promise.race([flushed, delay(FLUSH_MS, undefined, { signal: late.signal })]).finally(() =>
      late.abort(),
    )
  })
})
