import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { onRequestHookHandler } from 'fastify'
import { clientKey } from '../platform/client-key.ts'
import { readIpAddress } from '../platform/ip-address.ts'
import type { TrustHop } from '../platform/trusted-proxies.ts'
import { readingSockets } from './reading-sockets.ts'

/** Milliseconds within which a request arrives in full, or its connection has ended. */
export const REQUEST_MS = 10_000
/** Milliseconds after which a connection ends whose client takes nothing of its answer. */
const ANSWER_MS = 30_000
/** Node looks for late requests at this interval, in milliseconds; by default every half minute. */
const CHECK_MS = 500
/** Milliseconds that a client has to take a refusal, before the connection ends on both sides. */
const LINGER_MS = 500

const LATE_MS = REQUEST_MS - CHECK_MS - LINGER_MS

/** Options of the framework: the time limits of slow headers, slow bodies and clients that take nothing. */
export const TIME_LIMITS = {
  requestTimeout: LATE_MS,
  connectionTimeout: ANSWER_MS,
  http: { headersTimeout: LATE_MS, connectionsCheckingInterval: CHECK_MS },
} as const

/**
 * What a connection waits for: the rest of a request, the client to take what is written, this server's answer, or the
 * next request. Only the third ends by itself.
 */
type State = 'arriving' | 'untaken' | 'answering' | 'idle'

export interface ConnectionLimits {
  /** Connections of one network address in each state. */
  most: Record<Exclude<State, 'answering'>, number>
  /** Milliseconds for which bytes may arrive that begin no request, such as empty lines. Node ends late requests itself. */
  arrivingMs: number
  /** Milliseconds that a client may take for what is written. */
  untakenMs: number
  /** Requests that one connection may send without waiting for their answers: memory holds all of these. */
  pipelined: number
}

const LIMITS: ConnectionLimits = {
  most: { arriving: 100, untaken: 100, idle: 500 },
  arrivingMs: LATE_MS,
  untakenMs: 300_000,
  pipelined: 10,
}

interface Connection {
  socket: Socket
  state: State
  /** When the state began, by the monotonic clock. */
  since: number
  /** Requests whose answer is not complete. */
  answering: number
  /** The bytes that were read before the next request; `UNKNOWN` while a request is awaited that is not there in full. */
  bytesBefore: number
}

const UNKNOWN = Number.NEGATIVE_INFINITY
// Some clients end a body with an empty line that belongs to nothing (RFC 9112 §2.2).
const STRAY_BYTES = 2

/**
 * Caps the connections of each network address by what they wait for: beyond a cap, that which has waited longest ends.
 * Addresses of trusted proxies have no caps, because all clients share them.
 */
export function limitConnections(server: Server, trusts: TrustHop, limits = LIMITS): void {
  const known = new WeakMap<Socket, Connection>()
  const byClient = new Map<string, Set<Connection>>()
  const { most } = limits
  let checkedAt = performance.now()

  /** @param reading is undefined where only this module's own counts have to do: between two checks. */
  function makeRoom(connections: ReadonlySet<Connection>, reading?: ReadonlySet<Socket>): void {
    // What is noticed only now began after the last check: never later than a connection that was opened since.
    for (const connection of connections) {
      const { socket, bytesBefore } = connection
      // What was left of a body has arrived.
      if (bytesBefore < 0 && reading && !reading.has(socket)) connection.bytesBefore = socket.bytesRead
      enter(connection, stateOf(connection, reading), Math.max(connection.since, checkedAt))
    }
    for (const state of ['arriving', 'untaken', 'idle'] as const) {
      const waiting = [...connections].filter((connection) => connection.state === state)
      if (waiting.length <= most[state]) continue
      waiting.sort((a, b) => a.since - b.since)
      for (const { socket } of waiting.slice(0, waiting.length - most[state])) socket.destroy()
    }
  }

  server.on('connection', (socket) => {
    const address = readIpAddress(socket.remoteAddress ?? '')
    if (address === null || trusts(address, 0)) return
    const client = clientKey(address)
    // Nothing is read yet, but the request is awaited from the start.
    const connection: Connection = {
      socket,
      state: 'arriving',
      since: performance.now(),
      answering: 0,
      bytesBefore: UNKNOWN,
    }
    known.set(socket, connection)
    const connections = byClient.get(client) ?? new Set()
    byClient.set(client, connections.add(connection))
    socket.once('close', () => {
      connections.delete(connection)
      if (connections.size === 0) byClient.delete(client)
    })
    if (connections.size > most.arriving) makeRoom(connections)
  })

  // One function for all, because every request pays for it.
  function answered(this: ServerResponse): void {
    const { complete, socket } = this.req
    const connection = known.get(socket)
    if (!connection) return
    connection.answering -= 1
    // What is left of the body is still to arrive.
    connection.bytesBefore = complete ? socket.bytesRead : UNKNOWN
    enter(connection, stateOf(connection), performance.now())
  }

  // Before the handler that answers.
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = known.get(socket)
    if (!connection) return
    connection.answering += 1
    if (connection.answering > limits.pipelined) socket.destroy()
    if (connection.state === 'arriving') enter(connection, 'answering', performance.now())
    response.on('close', answered)
  })

  const timer = setInterval(() => {
    const reading = readingSockets(server)
    const now = performance.now()
    for (const connections of byClient.values()) {
      makeRoom(connections, reading)
      for (const { socket, state, since } of connections) {
        const isLate = state === 'arriving' && !reading?.has(socket) && now - since > limits.arrivingMs
        const isSlow = state === 'untaken' && now - since > limits.untakenMs
        if (isLate || isSlow) socket.destroy()
      }
    }
    checkedAt = now
  }, CHECK_MS).unref()
  server.once('close', () => clearInterval(timer))

  // After the handler that answers: a client that keeps its side open must not keep the connection.
  server.on('clientError', (_error, socket) => {
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  })
}

/** The first hook of a request. Node reads all that one packet holds, also once the connection has ended: nobody waits for it. */
export const skipEnded: onRequestHookHandler = (request, reply, done) => {
  if (request.raw.socket.destroyed) reply.hijack()
  else done()
}

function enter(connection: Connection, state: State, since: number): void {
  if (connection.state === state) return
  connection.state = state
  connection.since = since
}

function stateOf({ socket, answering, bytesBefore }: Connection, reading?: ReadonlySet<Socket>): State {
  // First, because a client that takes nothing can go on sending.
  if (socket.writableLength > 0) return 'untaken'
  if (reading?.has(socket)) return 'arriving'
  if (answering > 0) return 'answering'
  return socket.bytesRead - bytesBefore > STRAY_BYTES ? 'arriving' : 'idle'
}
