import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** The status line and the headers. */
  head: string
  body: string
}

/** A keep-alive HTTP/1.1 connection for one request at a time. */
export interface Connection {
  exchange(request: string): Promise<Answer>
  close(): void
}

interface Waiting {
  resolve(answer: Answer): void
  reject(error: Error): void
}

const NO_CONTENT = 204
const HEAD_END = '\r\n\r\n'

/**
 * Reads only what the measured servers send: a status, and a body with a Content-Length or in chunks. A full HTTP
 * client costs more than a bare route, and would dominate the measurement.
 */
export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url)
  let received = ''
  let waiting: Waiting | undefined
  /** The server has announced that it closes the connection. */
  let isClosing = false
  let socket = await dial()

  async function dial(): Promise<Socket> {
    const fresh = connect(Number(port), hostname)
    fresh.setNoDelay(true)
    fresh.setEncoding('latin1')
    fresh.on('data', receive)
    fresh.on('error', fail)
    fresh.on('close', () => {
      if (fresh !== socket) return
      // One that was not used in time: the next exchange opens another.
      isClosing = true
      fail(new Error('the server closed the connection'))
    })
    await once(fresh, 'connect')
    return fresh
  }

  function receive(chunk: string): void {
    received = received === '' ? chunk : received + chunk
    const headEnd = received.indexOf(HEAD_END)
    if (headEnd < 0) return
    const bodyStart = headEnd + HEAD_END.length
    const status = Number(received.slice(9, 12))
    const stated = /\r\ncontent-length: (\d+)/i.exec(received)?.[1]
    const length = status === NO_CONTENT ? 0 : Number(stated ?? Number.NaN)
    if (Number.isNaN(length) && !/\r\ntransfer-encoding: chunked/i.test(received)) {
      fail(new Error(`a response without a length: ${received}`))
      return
    }
    if (received.length < bodyStart + length) return
    const body = Number.isNaN(length) ? joinChunks(received, bodyStart) : received.slice(bodyStart)
    if (body === undefined) return
    const head = received.slice(0, headEnd)
    isClosing = /\r\nconnection: close/i.test(head)
    received = ''
    const { resolve } = waiting as Waiting
    waiting = undefined
    resolve({ status, head, body })
  }

  function fail(error: Error): void {
    waiting?.reject(error)
    waiting = undefined
  }

  return {
    async exchange(request) {
      if (isClosing) {
        isClosing = false
        socket.destroy()
        socket = await dial()
      }
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket.write(request, 'latin1')
      })
    },
    close: () => void socket.destroy(),
  }
}

/** Joins the chunks of RFC 9112 section 7.1. Undefined while the last one is missing. */
function joinChunks(received: string, bodyStart: number): string | undefined {
  let body = ''
  let at = bodyStart
  for (;;) {
    const lineEnd = received.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(received.slice(at, lineEnd), 16)
    const end = lineEnd + 2 + size
    // The last chunk is empty, and ends with an empty line as every other one does.
    if (received.length < end + 2) return undefined
    if (size === 0) return body
    body += received.slice(lineEnd + 2, end)
    at = end + 2
  }
}

export const get = (path: string, accessToken?: string) => bodiless('GET', path, accessToken)

export const bodiless = (method: 'GET' | 'DELETE', path: string, accessToken?: string) =>
  `${method} ${path} HTTP/1.1\r\nHost: bench\r\n${accessToken ? `Authorization: Bearer ${accessToken}\r\n` : ''}\r\n`

/**
 * @param payload is sent as JSON; text is sent as it is.
 * @param ip the client's address, for a server that trusts this one as a proxy.
 */
export function post(path: string, payload: object | string, ip?: string): string {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const forwarded = ip ? `X-Forwarded-For: ${ip}\r\n` : ''
  return `POST ${path} HTTP/1.1\r\nHost: bench\r\n${forwarded}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

/** A form, as third parties send them; names of headers in lower case. */
export function postForm(
  path: string,
  parameters: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
): string {
  const body = new URLSearchParams(parameters).toString()
  const lines = Object.entries({
    host: 'bench',
    ...headers,
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': String(body.length),
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}
