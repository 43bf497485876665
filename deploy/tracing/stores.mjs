import { tracingChannel } from 'node:diagnostics_channel'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

/** Makes a span of each command and statement that a request waits for. Keys, arguments and values are in none. */
export function traceStores(tracer) {
  // Published by ioredis. Its arguments hold keys and tokens, also those that it calls sanitized.
  follow(tracer, 'ioredis:command', ({ command, database, serverAddress, serverPort }) => ({
    system: 'redis',
    operation: command.toUpperCase(),
    namespace: String(database),
    address: serverAddress,
    port: serverPort,
  }))
  // Published by src/platform/statement-channel.ts.
  follow(tracer, 'ratchet:postgres', ({ text, database, host, port }) => ({
    system: 'postgresql',
    operation: /\w+/.exec(text)?.[0].toUpperCase() ?? 'QUERY',
    namespace: database,
    address: host,
    port,
    text,
  }))
}

function follow(tracer, channel, describe) {
  const spans = new WeakMap()
  tracingChannel(channel).subscribe({
    start(message) {
      // Background tasks are not traced, also not those that a request has started and does not wait for.
      if (!trace.getActiveSpan()?.isRecording()) return
      const { system, operation, namespace, address, port, text } = describe(message)
      const attributes = {
        'db.system.name': system,
        'db.operation.name': operation,
        'db.namespace': namespace,
        'db.query.text': text,
        'server.address': address,
        'server.port': port,
      }
      spans.set(message, tracer.startSpan(operation, { kind: SpanKind.CLIENT, attributes }))
    },
    error(message) {
      const { code, name } = message.error ?? {}
      // Never the message: stores repeat values in it.
      spans.get(message)?.setAttribute('error.type', String(code ?? name ?? 'Error'))
      spans.get(message)?.setStatus({ code: SpanStatusCode.ERROR })
    },
    asyncStart(message) {
      spans.get(message)?.end()
    },
  })
}
