import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { clientKey } from '../platform/client-key.ts'
import { readIpAddress } from '../platform/ip-address.ts'
import type { TrustHop } from '../platform/trusted-proxies.ts'

/** Milliseconds within which a request arrives in full, or its connection has ended. */
export const REQUEST_MS = 10_000
/** Milliseconds after which a connection ends whose client does not take its answer. */
const ANSWER_MS = 30_000
/** Node looks for late requests at this interval, in milliseconds; by default every half minute. */
const CHECK_MS = 500
/** Milliseconds that a client has to take a refusal, before the connection ends on both sides. */
const LINGER_MS = 500
/** Connections of one network address on which a request is still arriving. */
const MAX_STALLED = 100

const LATE_MS = REQUEST_MS - CHECK_MS - LINGER_MS

/** Options of the framework: the time limits of slow headers, slow bodies and slow readers. */
export const TIME_LIMITS = {
  requestTimeout: LATE_MS,
  connectionTimeout: ANSWER_MS,
  http: { headersTimeout: LATE_MS, connectionsCheckingInterval: CHECK_MS },
} as const

interface Connection {
  socket: Socket
  /** The bytes that were read before the request that is to arrive; null while one is answered. */
  bytesBefore: number | null
}

/**
 * Caps the stalled connections of each network address: beyond the cap, the oldest of them ends. A connection that waits
 * between two requests is not stalled. Addresses of trusted proxies have no cap, because all clients share them.
 */
export function limitConnections(server: Server, trusts: TrustHop): void {
  const known = new WeakMap<Socket, Connection>()
  const byClient = new Map<string, Set<Connection>>()

  function makeRoom(connections: ReadonlySet<Connection>): void {
    if (connections.size <= MAX_STALLED) return
    const stalled = [...connections].filter(isStalled)
    for (const { socket } of stalled.slice(0, Math.max(0, stalled.length - MAX_STALLED))) socket.destroy()
  }

  server.on('connection', (socket) => {
    const address = readIpAddress(socket.remoteAddress ?? '')
    if (address === null || trusts(address, 0)) return
    const client = clientKey(address)
    // Nothing is read yet, but a connection without a request is stalled from its start.
    const connection: Connection = { socket, bytesBefore: -1 }
    known.set(socket, connection)
    const connections = byClient.get(client) ?? new Set()
    byClient.set(client, connections.add(connection))
    socket.once('close', () => {
      connections.delete(connection)
      if (connections.size === 0) byClient.delete(client)
    })
    makeRoom(connections)
  })

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = known.get(request.socket)
    if (!connection) return
    const arrived = () => {
      connection.bytesBefore = null
    }
    if (hasBody(request)) request.once('end', arrived)
    else arrived()
    response.once('close', () => {
      // What is left of the body is stalled as well.
      connection.bytesBefore = request.complete ? request.socket.bytesRead : -1
    })
  })

  // Requests that stall on a connection that was used before are found here.
  const timer = setInterval(() => {
    for (const connections of byClient.values()) makeRoom(connections)
  }, CHECK_MS).unref()
  server.once('close', () => clearInterval(timer))

  // After the handler that answers: a client that keeps its side open must not keep the connection.
  server.on('clientError', (_error, socket) => {
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  })
}

const isStalled = ({ socket, bytesBefore }: Connection) =>
  bytesBefore !== null && socket.bytesRead > bytesBefore

const hasBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
