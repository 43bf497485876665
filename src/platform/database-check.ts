import pg from 'pg'
import { called } from './command.ts'
import { createDatabaseLogins, type DatabaseTarget, LoginRefused } from './database-login.ts'
import {
  clientWith,
  type DatabaseConnection,
  isMet,
  REQUIRED,
  readConnection,
  type Settings,
  servingSettingsOf,
} from './database-session.ts'
import { databaseHost } from './database-url.ts'

const POOLER_ADVICE =
  'add pgbouncer=true to DATABASE_URL, or connect to Postgres directly (see docs/postgres.md)'

// As pgbouncer and RDS Proxy say it.
const REFUSES_SETTINGS = /startup parameter|command-line options/i

/** The database cannot be reached, or refuses the connection. The message says where and why, without the password. */
export class DatabaseUnusable extends Error {
  override readonly name = 'DatabaseUnusable'
  constructor(url: string, cause: Error & { code?: string }) {
    const refused = cause instanceof pg.DatabaseError ? 'refuses the connection' : 'cannot be reached'
    const advice = REFUSES_SETTINGS.test(cause.message) ? `: ${POOLER_ADVICE}` : ''
    // The error has no message when a host name has two addresses and both refuse.
    super(`Postgres at ${databaseHost(url)} ${refused}: ${cause.message || cause.code}${advice}`, { cause })
  }
}

/** The database can be reached, but not used as it is set up. The message says what to change. */
export class DatabaseMisconfigured extends Error {
  override readonly name = 'DatabaseMisconfigured'
}

/** @throws {DatabaseUnusable} {DatabaseMisconfigured} */
export async function requireUsable(
  database: string | DatabaseTarget,
  { createSchema = false } = {},
): Promise<void> {
  const target = readConnection(database)
  await connected(target, servingSettingsOf(target), async (client) => {
    const { schema } = target
    if (createSchema && schema !== undefined) {
      const { rows } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema])
      if (rows.length === 0) await client.query(`CREATE SCHEMA ${pg.escapeIdentifier(schema)}`)
    }
    const fault = (await settingsFault(client, target)) ?? (await schemaFault(client, target))
    if (fault) throw new DatabaseMisconfigured(`Postgres at ${databaseHost(target.url)}: ${fault}`)
  })
}

/** Connects with these settings while `use` runs. @throws {DatabaseUnusable} */
export async function connected<T>(
  target: DatabaseConnection,
  settings: Settings,
  use: (client: pg.Client) => Promise<T>,
  log?: (line: string) => void,
): Promise<T> {
  const client = await connect(target, settings)
  if (log)
    client.on('notice', ({ severity, message }) => severity === 'WARNING' && log(`warning: ${message}`))
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function connect(target: DatabaseConnection, settings: Settings): Promise<pg.Client> {
  const logins = createDatabaseLogins(target, { info() {}, warn() {} })
  const Client = clientWith(settings, logins)
  for (;;) {
    const client = new Client({ connectionString: target.url, connectionTimeoutMillis: 10_000 })
    // A lost connection fails the next query. Without a listener its error would end the process.
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (error) {
      const isRefused = error instanceof LoginRefused
      if (isRefused && (await logins?.renew(error.login))) continue
      throw new DatabaseUnusable(target.url, (isRefused ? error.cause : error) as Error)
    }
  }
}

/** What an operator has to change about the settings of connections; undefined if nothing. */
async function settingsFault(client: pg.Client, { pooled }: DatabaseConnection): Promise<string | undefined> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    'SELECT name, setting FROM pg_settings WHERE name = ANY($1)',
    [Object.keys(REQUIRED)],
  )
  const unmet = rows.filter(({ name, setting }) => !isMet(name, setting))
  if (unmet.length === 0) return
  if (!pooled) return `a pooler drops the settings of connections: ${POOLER_ADVICE}`
  const statements = unmet.map(({ name }) => `ALTER ROLE CURRENT_USER SET ${name} = '${REQUIRED[name]}';`)
  return `behind a pooler the role needs settings: run ${statements.join(' ')} and let the pooler reconnect`
}

/** The same about schemas. Prisma and other statements find the tables in the first schema of the search path. */
async function schemaFault(
  client: pg.Client,
  { pooled, schema }: DatabaseConnection,
): Promise<string | undefined> {
  const { rows } = await client.query<{ first: string | null; holder: string | null }>(`
    SELECT current_schema() AS first, (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE c.oid = to_regclass('signing_keys')) AS holder`)
  const { first = null, holder = null } = rows[0] ?? {}
  if (schema !== undefined && first !== schema) {
    const name = pg.escapeIdentifier(schema)
    if (!pooled) return `there is no schema ${name}: run "${called('migrate')}", which creates it`
    return `behind a pooler the role chooses the schema: run ALTER ROLE CURRENT_USER SET search_path = ${name}, public;`
  }
  if (first === null) return 'the search path names no schema that exists: add ?schema=… to DATABASE_URL'
  if (schema !== undefined || holder === null || holder === first) return
  return (
    `the tables are in the schema ${holder}, but the search path begins with ${first}: add ?schema=${encodeURIComponent(holder)} ` +
    'to DATABASE_URL, or change the search path of the role or the database'
  )
}
