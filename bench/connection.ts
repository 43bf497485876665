import { once } from 'node:events'
import { connect } from 'node:net'

export interface Answer {
  status: number
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

const HEAD_END = '\r\n\r\n'

/**
 * Reads only what the measured servers send: a status, a Content-Length and a body. A full HTTP client costs more than
 * a bare route, and would dominate the measurement.
 */
export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.setNoDelay(true)
  await once(socket, 'connect')
  let received = ''
  let waiting: Waiting | undefined

  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    received = received === '' ? chunk : received + chunk
    const headEnd = received.indexOf(HEAD_END)
    if (headEnd < 0) return
    const bodyStart = headEnd + HEAD_END.length
    const status = Number(received.slice(9, 12))
    const length = status === 204 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? Number.NaN)
    if (Number.isNaN(length)) return fail(new Error(`a response without Content-Length: ${received}`))
    if (received.length < bodyStart + length) return
    const answer = { status, body: received.slice(bodyStart) }
    received = ''
    const { resolve } = waiting as Waiting
    waiting = undefined
    resolve(answer)
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the server closed the connection')))

  function fail(error: Error): void {
    waiting?.reject(error)
    waiting = undefined
  }

  return {
    exchange: (request) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket.write(request, 'latin1')
      }),
    close: () => void socket.destroy(),
  }
}

export const get = (path: string, accessToken?: string) => bodiless('GET', path, accessToken)

export const bodiless = (method: 'GET' | 'DELETE', path: string, accessToken?: string) =>
  `${method} ${path} HTTP/1.1\r\nHost: bench\r\n${accessToken ? `Authorization: Bearer ${accessToken}\r\n` : ''}\r\n`

export function post(path: string, payload: object): string {
  const body = JSON.stringify(payload)
  return `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}
