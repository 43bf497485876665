import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

/** A span as it was sent, with its attributes as an object. */
export interface Span {
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  name: string
  kind: number
  /** `code` is 2 for an error. */
  status: { code: number }
  attributes: Record<string, string | number>
}

interface Attribute {
  key: string
  value: { stringValue?: string; intValue?: number }
}
interface Sent {
  resourceSpans: {
    resource: { attributes: Attribute[] }
    scopeSpans: { spans: (Omit<Span, 'attributes'> & { attributes: Attribute[] })[] }[]
  }[]
}

/** Takes traces by OTLP over HTTP, as JSON, on loopback. */
export async function startCollector(t: { teardown(end: () => Promise<unknown>): void }) {
  const requests: { path: string; sent: Sent }[] = []
  const server = createServer(async (request, response) => {
    requests.push({ path: request.url ?? '', sent: (await json(request)) as Sent })
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const received = () => requests.flatMap(({ sent }) => sent.resourceSpans)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths: () => [...new Set(requests.map(({ path }) => path))],
    /** Everything that was received. */
    text: () => JSON.stringify(requests),
    resources: () => received().map(({ resource }) => toObject(resource.attributes)),
    spans: (): Span[] =>
      received()
        .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
        .map((span) => ({ ...span, attributes: toObject(span.attributes) })),
  }
}

const toObject = (attributes: Attribute[]) =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)] as const),
  )
