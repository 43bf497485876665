import pg from 'pg'

/** Milliseconds: how long a store may be silent before it counts as unavailable, unless STORE_TIMEOUT_MS says otherwise. */
export const STORE_TIMEOUT_MS = 700

/** A store cannot be used; the cause says how that was detected. */
export class StoreUnavailable extends Error {
  /** The store's name. */
  readonly store: string
  /** The command was not tried, because the outage is known already. */
  get isKnown(): boolean {
    return this.cause === undefined
  }
  constructor(store: string, cause?: unknown) {
    super(`${store} is unavailable`, { cause })
    this.name = 'StoreUnavailable'
    this.store = store
  }
}

// Prisma's codes for a server that is unreachable, closing, too busy or too slow, and for a deadlock.
const UNAVAILABLE_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034'])
// Node's codes for a connection that cannot be opened or was lost.
const NETWORK_CODES = /^E(CONN|PIPE|TIMEDOUT|HOST|NET|NOTFOUND|AI_AGAIN)/
const UNAVAILABLE_KINDS = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
])
// The server is shutting down or starting up, only reads, lacks connections, memory or space, or timed out (Postgres,
// appendix A).
const UNAVAILABLE_STATES = /^(08|57P0|57014|53|58|25006|55P03|25P03|25P04|40)/
const UNAVAILABLE_MESSAGES =
  /^(Query read timeout|Connection terminated|timeout exceeded when trying to connect|terminating connection)|not queryable$/

/** Whether an error means that a store is unavailable or timed out, not that a query is wrong. */
export function isStoreUnavailable(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return true
  if (!(error instanceof Error)) return false
  const { code, meta } = error as { code?: string; meta?: { driverAdapterError?: Error } }
  if (code !== undefined && (UNAVAILABLE_CODES.has(code) || NETWORK_CODES.test(code))) return true
  if (error instanceof pg.DatabaseError) return UNAVAILABLE_STATES.test(code ?? '')
  // The start and the end of a transaction throw the adapter's error directly.
  const {
    kind = '',
    code: state,
    originalCode,
  } = ((meta?.driverAdapterError ?? error).cause ?? {}) as AdapterCause
  return (
    UNAVAILABLE_KINDS.has(kind) ||
    UNAVAILABLE_STATES.test(originalCode ?? state ?? '') ||
    UNAVAILABLE_MESSAGES.test(error.message)
  )
}

interface AdapterCause {
  kind?: string
  code?: string
  originalCode?: string
}
