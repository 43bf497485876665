import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Certificates } from './certificates.ts'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

/** What the client gets: the answer of the server, none, or another one. */
export type Outcome = 'send' | 'lose' | { status: number; headers: Record<string, string>; body: string }

export interface HttpsFront {
  port: number
  /** Answers requests from now on by forwarding them to this URL. */
  forwardTo(url: string): void
  /** Asked once the server has answered: what the client gets, and when. */
  answering: ((request: IncomingMessage) => Promise<Outcome>) | undefined
}

/** A proxy that ends TLS, in front of a server that can be replaced. Requests for other hosts get a page. */
export async function startHttpsFront(
  t: Teardown,
  { cert, key }: Pick<Certificates, 'cert' | 'key'>,
  host: string,
  page = '<!doctype html><title>App</title>',
): Promise<HttpsFront> {
  let target: URL | undefined

  function forward(request: IncomingMessage, response: ServerResponse): void {
    const { method, headers, url: path } = request
    const to = { host: target?.hostname, port: target?.port, method, headers, path }
    const onward = ask(to, async (answer) => {
      const outcome = (await front.answering?.(request)) ?? 'send'
      if (outcome !== 'send') answer.resume()
      if (outcome === 'lose') return request.socket.destroy()
      if (outcome !== 'send') return response.writeHead(outcome.status, outcome.headers).end(outcome.body)
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.writeHead(502).end())
    request.pipe(onward)
  }

  const options = { cert: await readFile(cert), key: await readFile(key) }
  const server = createServer(options, (request, response) => {
    if (request.headers.host?.split(':')[0] === host) return forward(request, response)
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(page)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
  })
  const front: HttpsFront = {
    port: (server.address() as AddressInfo).port,
    answering: undefined,
    forwardTo(url) {
      target = new URL(url)
    },
  }
  return front
}
