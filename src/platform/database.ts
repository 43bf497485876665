import { hash } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { type CircuitBreaker, createCircuitBreaker, type StoreMonitor } from './circuit-breaker.ts'
import { createDatabaseLogins, type DatabaseTarget } from './database-login.ts'
import { createDatabasePoll, type DatabasePoll } from './database-poll.ts'
import { clientWith, QUERY_MS, readConnection, servingSettingsOf } from './database-session.ts'
import { type Prisma, PrismaClient } from './generated/client.ts'
import { GuardedPool, ping, probeWritable, ReadOnly, type TimedClient } from './guarded-pool.ts'
import { HOLD_MS } from './logins.ts'
import { STORE_TIMEOUT_MS, StoreUnavailable } from './store-unavailable.ts'

export { isStoreUnavailable } from './store-unavailable.ts'

export type Database = PrismaClient
/** What a use case needs of a database: the client, or a transaction. */
export type Queryable = Parameters<Parameters<PrismaClient['$transaction']>[0]>[0]

/**
 * Runs one statement that each connection prepares once: for hot paths, because it costs a fraction of Prisma's. Rows
 * hold what `pg` makes of each type, so a statement casts what has no counterpart in JavaScript.
 */
export type Query = <Row>(sql: Prisma.Sql) => Promise<Row[]>

export interface DatabaseOptions extends DatabaseTarget {
  /** Connections this process may hold, besides one for the heartbeat and one for the poll. */
  poolSize?: number
  /** Milliseconds after which a silent server counts as unavailable. */
  timeoutMs?: number
  /** Where outages are reported. By default they are not. */
  monitor?: StoreMonitor
}

export interface OpenDatabase {
  db: Database
  query: Query
  poll: DatabasePoll
  /** Until it is started, every query is attempted. */
  databaseBreaker: CircuitBreaker
  close(): Promise<void>
}

// With the usual timeout within a second: the longest time for which a silent server goes unnoticed.
const HEARTBEAT_MS = 260
const POLL_MS = 1_500
/** Until the first heartbeat is answered. A process that starts has no requests that wait. */
const STARTING_MS = 10_000

/** A Prisma client over a bounded pool that gives up on a silent server instead of hanging. */
export function openDatabase(options: DatabaseOptions): OpenDatabase {
  const target = readConnection(options)
  const { timeoutMs = STORE_TIMEOUT_MS, monitor = SILENT } = options
  const connectMs = timeoutMs + 300
  const logins = createDatabaseLogins(target, monitor.log)
  const connection = { connectionString: target.url, keepAlive: true }
  let databaseBreaker: CircuitBreaker | undefined
  const isOpen = () => databaseBreaker?.isOpen ?? false
  // While a login is read again, heartbeats wait like everybody else: that is no outage yet.
  const guard = { logins, onRefusal: () => databaseBreaker?.recordSuccess() }
  const pool = new GuardedPool(
    {
      ...connection,
      max: options.poolSize ?? 10,
      connectionTimeoutMillis: STARTING_MS,
      query_timeout: QUERY_MS,
      Client: clientWith(servingSettingsOf(target), logins),
    },
    { ...guard, isOpen },
  )
  // A separate connection, so that a busy pool does not look like a dead server.
  const single = { ...connection, max: 1, connectionTimeoutMillis: Math.max(timeoutMs, POLL_MS) }
  const probe = new GuardedPool({ ...single, Client: clientWith(servingSettingsOf(target), logins) }, guard)
  // A question does not wait for a table that is locked for long, as by a migration: the others are asked meanwhile.
  const limits = { lock_timeout: '100', statement_timeout: String(POLL_MS) }
  const polling = new GuardedPool(
    { ...single, query_timeout: POLL_MS, Client: clientWith(servingSettingsOf(target, limits), logins) },
    guard,
  )
  const pools = [pool, probe, polling]
  for (const each of pools) {
    // The pool replaces an idle connection that fails. Without a listener the error would end the process.
    each.on('error', () => {})
    each.on('connect', (client) => client.on('error', () => {}))
  }
  // While all is well, the poll asks whether the server can write. A pooler lends a connection for statements only.
  const askAlone = () =>
    target.pooled || !databaseBreaker || databaseBreaker.isOpen ? probeWritable(probe) : ping(probe)
  databaseBreaker = createCircuitBreaker({
    name: 'postgres',
    probe: () =>
      askAlone().catch((error: unknown) => {
        // None is left for the heartbeat, which says nothing about the connections that requests have.
        if (stateOf(error) === TOO_MANY_CONNECTIONS && !isOpen()) return probeWritable(pool)
        throw error
      }),
    everyMs: HEARTBEAT_MS,
    onOpen(cause) {
      if (!isRefusal(cause)) pool.drop()
      // Another server may have taken over its name, and what a role or a database is set to holds for new sessions only.
      else if (stateOf(cause) === READ_ONLY) for (const each of pools) each.drop()
    },
    isRefusal,
    monitor,
    timeoutMs,
  })
  databaseBreaker.beforeClosing(async () => {
    pool.options.connectionTimeoutMillis = connectMs
  })
  const recordAnswer = (error?: Error) => {
    if (!error) databaseBreaker?.recordSuccess()
    else if (isRefusal(error)) databaseBreaker?.recordFailure(error)
  }
  pool.on('release', recordAnswer)
  pool.on('connect', (client) => {
    ;(client as unknown as TimedClient).onFailure = recordAnswer
  })
  const poll = createDatabasePoll(polling, monitor, {
    isDown: isOpen,
    isReadOnly: () => databaseBreaker?.recordFailure(new ReadOnly()),
  })
  // A transaction waits for its connection as long as every statement does.
  const maxWait = HOLD_MS + 2 * connectMs
  const db = new PrismaClient({ adapter: adapterOf(pool), transactionOptions: { maxWait } })
  return {
    db,
    query: createQuery(pool, target.pooled),
    poll,
    databaseBreaker,
    async close() {
      await Promise.all([poll.stop(), databaseBreaker.stop()])
      await db.$disconnect()
      await Promise.all(pools.map((each) => each.end()))
    },
  }
}

/** Prisma qualifies the names of tables. Here it does so with the schema in which other statements find them. */
function adapterOf(pool: pg.Pool): Pick<PrismaPg, 'provider' | 'adapterName' | 'connect'> {
  const factory = new PrismaPg(pool)
  return {
    provider: factory.provider,
    adapterName: factory.adapterName,
    async connect() {
      const { rows } = await pool.query<{ schema: string }>('SELECT current_schema() AS schema')
      // Prisma puts quotes around it, and leaves those in it as they are.
      const schema = (rows[0]?.schema ?? 'public').replaceAll('"', '""')
      return new PrismaPg(pool, { schema }).connect()
    },
  }
}

function createQuery(pool: pg.Pool, pooled: boolean): Query {
  const names = new Map<string, string>()
  let epoch = 0

  async function run<Row>({ text, values }: Prisma.Sql): Promise<Row[]> {
    // Not every pooler knows which of its connections has prepared a statement.
    if (pooled) return (await pool.query(text, values.map(toText))).rows as Row[]
    // By its text: behind a pooler for whole sessions, processes share connections and must mean the same statement.
    const name = names.get(text) ?? `${hash('sha256', text, 'base64url').slice(0, 20)}_${epoch}`
    names.set(text, name)
    const query: unknown = new PreparedQuery(name, text, values.map(toText))
    return (await pool.query(query as pg.QueryConfig)).rows as Row[]
  }

  return (sql) =>
    run<never>(sql).catch((error: { code?: string }) => {
      if (error.code !== STALE_PLAN) throw error
      // A migration has changed a column's type. The statement has not run; under another name it is planned anew.
      epoch += 1
      names.clear()
      return run<never>(sql)
    })
}

// Postgres: "cached plan must not change result type".
const STALE_PLAN = '0A000'

/** The same as a configuration object, which `pg` would copy in a slow way. */
class PreparedQuery extends pg.Query {
  // `pg` reads it when it sends the query; its types do not say so.
  readonly name: string
  constructor(name: string, text: string, values: unknown[]) {
    super(text, values)
    this.name = name
  }
}

// `pg` formats times in the local zone, part by part.
const toText = (value: unknown) => (value instanceof Date ? value.toISOString() : value)

const SILENT: StoreMonitor = {
  log: { info() {}, warn() {}, error() {} },
  metrics: { countBackgroundFailure() {} },
  outages: { begin() {}, end() {}, explain() {} },
}

/** Rejects unless the database answers. */
export async function pingDatabase(db: Database): Promise<void> {
  await db.$queryRaw`SELECT 1`
}

// It answers, and cannot serve.
const READ_ONLY = '25006'
const TOO_MANY_CONNECTIONS = '53300'
const REFUSING_STATES = /^(25006|53[0-2]00|58030)$/

function stateOf(error: unknown): string | undefined {
  const cause = error instanceof StoreUnavailable ? error.cause : error
  return cause instanceof ReadOnly ? READ_ONLY : cause instanceof pg.DatabaseError ? cause.code : undefined
}
const isRefusal = (cause: unknown) => REFUSING_STATES.test(stateOf(cause) ?? '')

/** Whether Postgres refuses a value, or a row that another one excludes (SQLSTATE classes 22 and 23). */
export function isRefusedByDatabase(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, meta } = error as { code?: string; meta?: { driverAdapterError?: Error } }
  const { originalCode = '' } = (meta?.driverAdapterError?.cause ?? {}) as { originalCode?: string }
  return code === 'P2002' || code === 'P2020' || /^2[23]/.test(originalCode)
}
