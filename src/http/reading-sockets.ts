import type { Server } from 'node:http'
import type { Socket } from 'node:net'

// The list by which Node itself finds late requests, in 20 to 24. It has no public name.
const LIST = 'http.server.connections'

interface List {
  active?(): { socket?: Socket | null }[]
}

/**
 * The sockets of a server on which a request has begun and not arrived in full, or none has arrived yet; undefined if Node
 * does not say. Counting bytes cannot tell: a request may begin in the packet in which another one ends.
 */
export function readingSockets(server: Server): ReadonlySet<Socket> | undefined {
  const name = Object.getOwnPropertySymbols(server).find(({ description }) => description === LIST)
  const list = name && (server as unknown as Record<symbol, List | undefined>)[name]
  const parsers = list?.active?.()
  return parsers && new Set(parsers.flatMap(({ socket }) => socket ?? []))
}
