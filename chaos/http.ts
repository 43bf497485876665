import { request } from 'node:http'

export interface Call {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  body?: object
  /** Instead of `body`: sent as `application/x-www-form-urlencoded`. */
  form?: Record<string, string>
  headers?: Record<string, string>
  /** Milliseconds after sending at which the client closes the connection: the answer is lost. */
  hangUpAfter?: number
}

export interface Answer {
  /** 0 when there was no answer. */
  status: number
  /** The problem's or OAuth error's code, or what went wrong with the connection. */
  code: string
  // biome-ignore lint/suspicious/noExplicitAny: any JSON that the server sends
  body: any
  cookie: string | undefined
}

const TIMEOUT_MS = 5_000

/** Sends one request over a separate connection, so that each failure belongs to exactly one request. */
export function send(url: string, call: Call): Promise<Answer> {
  return new Promise((resolve) => {
    const payload = call.form
      ? new URLSearchParams(call.form).toString()
      : call.body && JSON.stringify(call.body)
    const type = call.form ? 'application/x-www-form-urlencoded' : 'application/json'
    const lost = (code: string) => resolve({ status: 0, code, body: undefined, cookie: undefined })
    const outgoing = request(url + call.path, {
      method: call.method,
      agent: false,
      headers: {
        ...(payload === undefined
          ? {}
          : { 'content-type': type, 'content-length': Buffer.byteLength(payload) }),
        ...call.headers,
      },
    })
    const timer = setTimeout(() => {
      lost('timed out')
      outgoing.destroy()
    }, TIMEOUT_MS)
    outgoing.on('close', () => {
      clearTimeout(timer)
      lost('closed')
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => lost(error.code ?? error.message))
    outgoing.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', () => {})
      response.on('end', () => {
        const json = /json/.test(response.headers['content-type'] ?? '') && text !== ''
        const body = json ? JSON.parse(text) : undefined
        const cookie = response.headers['set-cookie']?.[0]?.split(';')[0]?.split('=')[1]
        resolve({ status: response.statusCode ?? 0, code: body?.code ?? body?.error ?? '', body, cookie })
      })
    })
    outgoing.end(payload, () => {
      if (call.hangUpAfter === undefined) return
      setTimeout(() => {
        lost('hung up')
        outgoing.destroy()
      }, call.hangUpAfter)
    })
  })
}
