import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ReceivedMail {
  /** The idempotency key. */
  key: string
  body: string
}

/** A provider with Resend's API that takes a number of mails in each second of a clock. */
export async function startMailProvider(
  t: { teardown(end: () => Promise<unknown>): void },
  { clock, perSecond }: { clock: { now(): number }; perSecond: number },
) {
  const accepted = new Map<string, ReceivedMail>()
  const recent: number[] = []
  let refused = 0
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const now = clock.now()
    while (recent[0] !== undefined && recent[0] <= now - 1_000) recent.shift()
    response.setHeader('content-type', 'application/json')
    if (recent.length >= perSecond) {
      refused += 1
      response.writeHead(429, { 'retry-after': '1' })
      response.end(JSON.stringify({ statusCode: 429, name: 'rate_limit_exceeded', message: '' }))
      return
    }
    recent.push(now)
    const key = String(request.headers['idempotency-key'])
    accepted.set(key, { key, body })
    response.end(JSON.stringify({ id: key }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accepted,
    refused: () => refused,
  }
}
