import { randomUUID } from 'node:crypto'
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Problem, type ProblemCode } from '../core/problems/problems.ts'
import { type EarlyRequest, type LogEarlyRequest, requestLineIn } from './early-request-log.ts'
import { problemDocument, sendProblem, toProblem } from './problem-details.ts'
import { apiHeaders } from './security-headers.ts'
import { type AllowedOrigins, isListed } from './trusted-origin.ts'

interface Options {
  /** The header `Strict-Transport-Security`; undefined without one. */
  hsts: string | undefined
  allowedOrigins: AllowedOrigins
  /** True once the process is shutting down. */
  draining(): boolean
  /** Writes the line of a request for which no hook does. */
  logRequest: LogEarlyRequest
}

/** `rawPacket` is what Node could not read as HTTP. */
type ConnectionError = NodeJS.ErrnoException & { rawPacket?: unknown }

// Codes of Node and of its parser; every other one means malformed HTTP.
const CODES: Record<string, ProblemCode> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body_too_large',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}
// A client may send for a while before it reads the answer. Reset earlier, it would not see it.
const LINGER_MS = 1_000

/**
 * What is answered outside of hooks: a malformed URL, malformed HTTP, headers that are too large, a request that does
 * not arrive in time. The answers are problem documents with the headers of all others, including those of CORS.
 */
export function createEarlyAnswers(options: Options) {
  const { allowedOrigins, draining, logRequest } = options
  const security = apiHeaders(options)
  // The newest request of each connection: it may still be waiting for its body.
  const newest = new WeakMap<Socket, FastifyReply>()
  // The problems of bodies that failed before anything read them.
  const failed = new WeakMap<IncomingMessage, Problem>()

  /** @param origin undefined if it could not be read: then any page may read the answer, which tells nothing. */
  function headersFor(id: string, origin: string | undefined): Record<string, string> {
    const isAllowed = origin !== undefined && isListed(origin, allowedOrigins)
    return {
      ...security,
      'x-request-id': id,
      vary: 'Origin',
      ...(origin === undefined ? { 'access-control-allow-origin': '*' } : {}),
      ...(isAllowed
        ? { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' }
        : {}),
      'access-control-expose-headers': 'x-request-id',
      ...(draining() ? { connection: 'close' } : {}),
    }
  }

  /** Fastify calls it for URLs that it cannot decode. */
  function frameworkErrors(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
    const { id, headers, method, url, raw } = request
    reply.headers(headersFor(id, headers.origin ?? ''))
    const problem = toProblem(error)
    sendProblem(request, reply, problem)
    // Node joins repeated headers of this name.
    const forwarded = headers['x-forwarded-for'] as string | undefined
    const { statusCode: status } = reply
    logRequest({ id, socket: raw.socket, status, code: problem.code, method, url, forwarded })
  }

  /** Node calls it when it cannot read HTTP from a connection, or waits for the rest of a request for too long. */
  function clientErrorHandler(error: ConnectionError, socket: Socket): void {
    const code = CODES[error.code ?? ''] ?? 'validation_failed'
    const reply = newest.get(socket)
    // An answer without a request could be taken for that to the next one.
    const isUnused = code === 'request_timeout' && socket.bytesRead === 0
    if (error.code === 'ECONNRESET' || !socket.writable || isUnused) socket.destroy()
    else if (!reply || reply.raw.writableFinished)
      answer(socket, code, originIn(error.rawPacket), requestLineIn(error.rawPacket))
    else if (reply.sent) socket.destroySoon()
    else {
      reply.header('connection', 'close')
      // If the request is complete, the error is about what follows it: only its own answer may still be sent.
      if (!reply.request.raw.complete) failBody(reply.request.raw, new Problem(code))
    }
  }

  /** Ends the wait for a request's body, now or once it begins: the error handler answers. */
  function failBody(request: IncomingMessage, problem: Problem): void {
    if (request.listenerCount('error') > 0) request.emit('error', problem)
    else failed.set(request, problem)
  }

  /** Answers a connection on which there is no request. */
  function answer(
    socket: Socket,
    code: ProblemCode,
    origin: string | undefined,
    request: Pick<EarlyRequest, 'method' | 'url'>,
  ): void {
    const id = randomUUID()
    const document = problemDocument(new Problem(code), id)
    const body = JSON.stringify(document)
    const headers = {
      ...headersFor(id, origin),
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(body),
      date: new Date().toUTCString(),
      connection: 'close',
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${document.status} ${STATUS_CODES[document.status]}\r\n${lines.join('')}\r\n${body}`)
    const linger = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(linger))
    logRequest({ id, socket, status: document.status, code, ...request })
  }

  const plugin = fp(async (app: FastifyInstance) => {
    app.addHook('onRequest', (request, reply, done) => {
      newest.set(request.raw.socket, reply)
      // RFC 9112 §3.2; Node's own answer would not be a problem document.
      const isWithoutHost = request.headers.host === undefined && request.raw.httpVersion === '1.1'
      done(
        isWithoutHost
          ? new Problem('validation_failed', { detail: 'The header Host is missing.' })
          : undefined,
      )
    })
    app.addHook('preParsing', ({ raw }, _reply, payload, done) => {
      // If the client has gone while a hook waited, the body never arrives, and nothing else would end the request.
      const isGone = raw.destroyed && hasBody(raw)
      done(failed.get(raw) ?? (isGone ? new Problem('validation_failed') : null), payload)
    })
    // Without listeners, Node answers an unknown expectation itself and a CONNECT not at all.
    app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
    app.server.on('connect', ({ headers, method }: IncomingMessage, socket: Socket) => {
      answer(socket, 'method_not_allowed', headers.origin ?? '', { method })
    })
  })

  return {
    plugin,
    /** Options of `fastify()`. Requests that arrive while it closes are answered like all others. */
    serverOptions: {
      frameworkErrors,
      clientErrorHandler,
      return503OnClosing: false,
      http: { requireHostHeader: false },
    },
  }
}

const hasBody = ({ headers }: IncomingMessage) =>
  headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined

/** The `Origin` in the beginning of a request; empty if the headers are complete and have none. */
function originIn(packet: unknown): string | undefined {
  if (!(packet instanceof Buffer)) return
  const [headers = '', rest] = packet.toString('latin1').split('\r\n\r\n', 2)
  const origin = /^origin:[ \t]*(\S*)[ \t]*\r?$/im.exec(headers)?.[1]
  return origin ?? (rest === undefined ? undefined : '')
}
