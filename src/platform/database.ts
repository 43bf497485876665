import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { StoreUnavailable, type Watch, watch } from './circuit-breaker.ts'
import { PrismaClient } from './generated/client.ts'

export type Database = PrismaClient
/** What a use case needs of a database: the client, or a transaction of it. */
export type Queryable = Parameters<Parameters<PrismaClient['$transaction']>[0]>[0]

export interface DatabaseOptions {
  url: string
  /** Connections this process may hold. */
  poolSize?: number
  log?: { warn(details: object, message: string): void; info(details: object, message: string): void }
}

export interface OpenDatabase {
  db: Database
  /** Started by whoever serves; while it is not, every query is tried. */
  databaseBreaker: Watch
  close(): Promise<void>
}

const QUERY_MS = 3_000
const LOCK_MS = 2_000
const PROBE_MS = 700

/** A Prisma client over a bounded pool that gives up on a silent server instead of hanging. */
export function openDatabase(options: DatabaseOptions): OpenDatabase {
  const connection = { connectionString: options.url, keepAlive: true }
  let databaseBreaker: Watch | undefined
  const pool = new GatedPool(
    {
      ...connection,
      onConnect: prepareSession,
      max: options.poolSize ?? 10,
      connectionTimeoutMillis: 1_000,
      query_timeout: QUERY_MS,
      Client: ImpatientClient,
    },
    () => databaseBreaker?.away ?? false,
  )
  // A connection of its own, so that a busy pool does not look like a dead server.
  const probe = new pg.Pool({
    ...connection,
    max: 1,
    connectionTimeoutMillis: QUERY_MS,
    query_timeout: PROBE_MS,
    Client: ImpatientClient,
  })
  for (const each of [pool, probe]) {
    // An idle connection that dies is replaced by the pool; unheard, its error would end the process.
    each.on('error', () => {})
  }
  const silent = { warn() {}, info() {} }
  databaseBreaker = watch({
    name: 'postgres',
    probe: () => probe.query('SELECT 1'),
    onLoss: () => pool.drop(),
    log: options.log ?? silent,
    timeoutMs: PROBE_MS,
  })
  pool.on('release', (error) => {
    if (!error) databaseBreaker?.heard()
  })
  const db = new PrismaClient({ adapter: new PrismaPg(pool) })
  return {
    db,
    databaseBreaker,
    async close() {
      databaseBreaker.stop()
      await db.$disconnect()
      await Promise.all([pool.end(), probe.end()])
    },
  }
}

// Prisma sends times without a zone: in another one than UTC they would mean another moment.
// A server must not hold locks for a client it has not heard of, nor let others wait for them.
const SESSION = `SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = ${QUERY_MS};
  SET lock_timeout = ${LOCK_MS}; SET statement_timeout = ${QUERY_MS}`
const prepareSession = (client: pg.ClientBase) => client.query(SESSION)

/** A pool that lets nobody wait for a server that is known to be away. */
class GatedPool extends pg.Pool {
  readonly #away: () => boolean
  readonly #clients = new Set<pg.PoolClient>()

  constructor(config: pg.PoolConfig, away: () => boolean) {
    super(config)
    this.#away = away
    this.on('connect', (client) => this.#clients.add(client))
    this.on('remove', (client) => this.#clients.delete(client))
  }

  /** Ends what is under way on connections that nobody answers any more. */
  drop(): void {
    for (const client of this.#clients) streamOf(client).destroy()
  }

  // biome-ignore lint/suspicious/noExplicitAny: a promise or a callback, as the pool itself uses it
  override connect(callback?: any): any {
    if (!this.#away()) return callback ? super.connect(callback) : super.connect()
    const error = new StoreUnavailable('postgres')
    return callback ? void process.nextTick(callback, error) : Promise.reject(error)
  }
}

/** A connection whose server fell silent in the middle of a query is of no use to anybody else. */
class ImpatientClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: eight overloads, all passed on
  override query(...args: any[]): any {
    const answer = Reflect.apply(super.query, this, args)
    if (answer instanceof Promise) {
      answer.catch((error: Error) => {
        if (error.message === 'Query read timeout') streamOf(this).destroy()
      })
    }
    return answer
  }
}

const streamOf = (client: pg.ClientBase) =>
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream

// Prisma's codes for a server that cannot be reached, closes, is too busy, does not answer in time or saw a deadlock.
const AWAY_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034'])
const AWAY_KINDS = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
])
// A server that shuts down, starts up, has no connection left or gave up waiting (Postgres, appendix A).
const AWAY_STATES = /^(08|57P0|57014|53300|55P03|25P03|40)/
const AWAY_MESSAGES =
  /^(Query read timeout|Connection terminated|timeout exceeded when trying to connect|terminating connection)|not queryable$/

/** Whether an error says that a store is away or gave up waiting, and not that a query of ours is wrong. */
export function isStoreUnavailable(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return true
  if (!(error instanceof Error)) return false
  const { code, meta } = error as { code?: string; meta?: { driverAdapterError?: Error } }
  if (code !== undefined && AWAY_CODES.has(code)) return true
  // Around a transaction the adapter's error comes as it is.
  const {
    kind = '',
    code: state,
    originalCode,
  } = ((meta?.driverAdapterError ?? error).cause ?? {}) as AdapterCause
  return (
    AWAY_KINDS.has(kind) || AWAY_STATES.test(originalCode ?? state ?? '') || AWAY_MESSAGES.test(error.message)
  )
}

interface AdapterCause {
  kind?: string
  code?: string
  originalCode?: string
}
