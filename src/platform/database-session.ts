import pg from 'pg'
import {
  type DatabaseLogin,
  type DatabaseTarget,
  isLoginRefused,
  LoginRefused,
  withLogin,
} from './database-login.ts'
import { TimedClient } from './guarded-pool.ts'
import type { Logins } from './logins.ts'

/** Milliseconds: the longest that a statement, or a pause within a transaction, may take. */
export const QUERY_MS = 3_000

// What poolers know too, because drivers for other languages send it: Prisma sends and reads times as UTC, in ISO 8601.
const FORMATS = { TimeZone: 'UTC', DateStyle: 'ISO, MDY' }
// Statements depend on them, so that a role must not change them where a pooler keeps us from setting them.
const SEMANTICS = { default_transaction_isolation: 'read committed', standard_conforming_strings: 'on' }
const REPRESENTATIONS = { IntervalStyle: 'postgres', bytea_output: 'hex', extra_float_digits: '1' }
/** Milliseconds. Postgres releases the locks of a client that has stopped responding, and nobody waits long for them. */
const LIMITS = {
  idle_in_transaction_session_timeout: String(QUERY_MS),
  lock_timeout: '2000',
  statement_timeout: String(QUERY_MS),
}

/** What every connection must have, however it came by it. */
export const REQUIRED: Settings = { ...FORMATS, ...SEMANTICS, ...LIMITS }

/** Whether a setting serves: a limit may also be shorter; zero is none. */
export const isMet = (name: string, setting: string): boolean =>
  name in LIMITS
    ? Number(setting) > 0 && Number(setting) <= Number(REQUIRED[name])
    : setting === REQUIRED[name]

export type Settings = Readonly<Record<string, string>>

/** How to connect to a database. */
export interface DatabaseConnection extends DatabaseTarget {
  /** Whether a pooler lends connections per transaction: then nothing may depend on the session. */
  pooled: boolean
  /** The schema that the URL names. Without it, the first one of the search path is used. */
  schema: string | undefined
  /** A file with the user and password, which replace those of the URL in each new connection. */
  secretFile: string | undefined
}

/** Reads `schema` and `pgbouncer=true`, which Prisma defines, and `secretfile` from a database URL. */
export function readConnection(database: string | DatabaseTarget): DatabaseConnection {
  const target = typeof database === 'string' ? { url: database } : database
  const { searchParams } = new URL(target.url)
  return {
    ...target,
    pooled: searchParams.get('pgbouncer') === 'true',
    schema: searchParams.get('schema') || undefined,
    secretFile: searchParams.get('secretfile') || undefined,
  }
}

/**
 * Settings to open a connection with. They are parameters of the connection, not statements: behind a pooler, `SET`
 * would change the connections of others.
 */
export function settingsOf({ pooled, schema }: DatabaseConnection): Settings {
  if (pooled) return FORMATS
  // Extensions are usually in `public`.
  const path = schema === undefined ? {} : { search_path: `${pg.escapeIdentifier(schema)}, public` }
  return { ...FORMATS, ...SEMANTICS, ...REPRESENTATIONS, ...path }
}

/** The same for connections that serve requests: also time limits, in milliseconds. */
export function servingSettingsOf(
  connection: DatabaseConnection,
  limits: Partial<typeof LIMITS> = {},
): Settings {
  const settings = settingsOf(connection)
  return connection.pooled ? settings : { ...settings, ...LIMITS, ...limits }
}

/** A client that opens its connection with these settings, as the user of the time. @throws {LoginRefused} in `connect` */
export const clientWith = (
  settings: Settings,
  logins: Logins<DatabaseLogin> | undefined,
): typeof TimedClient =>
  class extends TimedClient {
    readonly #login: DatabaseLogin | undefined

    constructor(config: pg.ClientConfig) {
      const login = logins?.current()
      const { connectionString = '' } = config
      super(login ? { ...config, connectionString: withLogin(connectionString, login) } : config)
      this.#login = login
    }

    // A promise or a callback, as the pool uses it.
    override connect(): Promise<pg.Client>
    override connect(callback: (error: Error) => void): void
    override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
      const login = this.#login
      if (!login) return callback ? void super.connect(callback) : super.connect()
      const refusal = (error: Error) => (isLoginRefused(error) ? new LoginRefused(login, error) : error)
      if (callback)
        return void super.connect((error: Error) => {
          if (!error) logins?.confirm(login)
          callback(error && refusal(error))
        })
      return super.connect().then(
        (client) => {
          logins?.confirm(login)
          return client
        },
        (error) => {
          throw refusal(error)
        },
      )
    }

    // `pg` calls it to build the startup message; its types do not say so.
    getStartupConf(): Settings {
      const { getStartupConf } = TimedClient.prototype as unknown as { getStartupConf(): Settings }
      return { ...getStartupConf.call(this), ...settings }
    }
  }
