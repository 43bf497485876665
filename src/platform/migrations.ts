import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { called } from './command.ts'
import type { Database } from './database.ts'
import { databaseHost } from './database-url.ts'
import { ROOT } from './root.ts'

/** This project's migrations. */
export const MIGRATIONS = join(ROOT, 'prisma/migrations')

/** The advisory lock that Prisma's schema engine takes, so that the two exclude each other. */
const LOCK = 72_707_369

// Exactly what `prisma migrate deploy` creates, so that it and this runner can continue each other's work.
const HISTORY = `
  CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                  VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"            VARCHAR(64) NOT NULL,
    "finished_at"         TIMESTAMPTZ,
    "migration_name"      VARCHAR(255) NOT NULL,
    "logs"                TEXT,
    "rolled_back_at"      TIMESTAMPTZ,
    "started_at"          TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count" INTEGER NOT NULL DEFAULT 0
  )`

/** A migration failed, now or earlier. Nothing else is applied until an operator has resolved it. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** The database cannot be reached, or refuses the connection. The message says where and why, without the password. */
export class DatabaseUnusable extends Error {
  override readonly name = 'DatabaseUnusable'
  constructor(url: string, cause: Error & { code?: string }) {
    const refused = cause instanceof pg.DatabaseError ? 'refuses the connection' : 'cannot be reached'
    // The error has no message when a host name has two addresses and both refuse.
    super(`Postgres at ${databaseHost(url)} ${refused}: ${cause.message || cause.code}`, { cause })
  }
}

interface Migration {
  name: string
  sql: string
  /** SHA-256 of the file, hex. */
  checksum: string
}

interface HistoryRow {
  migration_name: string
  checksum: string
  finished_at: Date | null
  rolled_back_at: Date | null
}

/**
 * Applies the migrations in `folder` that the database lacks, oldest first, one process at a time.
 * @returns the names of the migrations applied by this call.
 * @throws {MigrationError} when one fails, or had failed before and was not resolved. {DatabaseUnusable}
 */
export async function applyMigrations(
  databaseUrl: string,
  folder: string,
  log: (line: string) => void = () => {},
): Promise<string[]> {
  const migrations = await readMigrations(folder)
  return withClient(
    databaseUrl,
    async (client) => {
      // A session lock: Postgres releases it with the connection, however this process ends.
      await client.query('SELECT pg_advisory_lock($1)', [LOCK])
      await client.query(HISTORY)
      const pending = unapplied(migrations, await readHistory(client), log)
      for (const migration of pending) {
        await apply(client, migration)
        log(`applied migration ${migration.name}`)
      }
      return pending.map((migration) => migration.name)
    },
    log,
  )
}

/** Names of the migrations that {@link applyMigrations} would apply; changes nothing. */
export async function pendingMigrations(databaseUrl: string, folder: string): Promise<string[]> {
  const migrations = await readMigrations(folder)
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query(`SELECT to_regclass('"_prisma_migrations"') IS NOT NULL AS known`)
    const history = rows[0].known ? await readHistory(client) : []
    return unapplied(migrations, history, () => {}).map((migration) => migration.name)
  })
}

/** Checks that the database has all of this project's migrations. @throws {MigrationError} {DatabaseUnusable} */
export async function requireMigrations(databaseUrl: string): Promise<void> {
  const pending = await pendingMigrations(databaseUrl, MIGRATIONS).catch((error) => {
    if (error instanceof DatabaseUnusable) throw error
    // This user may lack the right to read the history, or a failure in it is already being handled.
    return []
  })
  if (pending.length === 0) return
  const remedy = `run "${called('migrate')}" first, or start the server with RUN_MIGRATIONS=true`
  throw new MigrationError(`the database lacks ${pending.join(', ')}: ${remedy}`)
}

async function withClient<T>(
  databaseUrl: string,
  use: (client: pg.Client) => Promise<T>,
  log?: (line: string) => void,
): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 })
  // A lost connection fails the next query. Without a listener its error would end the process.
  client.on('error', () => {})
  if (log)
    client.on('notice', ({ severity, message }) => severity === 'WARNING' && log(`warning: ${message}`))
  await client.connect().catch((cause) => {
    throw new DatabaseUnusable(databaseUrl, cause)
  })
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** The names of the migrations that were applied to a database. */
export async function appliedMigrations(db: Database): Promise<ReadonlySet<string>> {
  const rows = await db.$queryRaw<{ migration_name: string }[]>`
    SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`
  return new Set(rows.map((row) => row.migration_name))
}

/** The names of the migrations in a folder, in the order in which they are applied. */
export async function migrationNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return names.sort()
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = await migrationNames(folder)
  return Promise.all(
    names.map(async (name) => {
      const file = await readFile(join(folder, name, 'migration.sql'))
      return { name, sql: file.toString('utf8'), checksum: createHash('sha256').update(file).digest('hex') }
    }),
  )
}

async function readHistory(client: pg.Client): Promise<HistoryRow[]> {
  const { rows } = await client.query<HistoryRow>(
    'SELECT migration_name, checksum, finished_at, rolled_back_at FROM "_prisma_migrations" ORDER BY started_at',
  )
  return rows
}

function unapplied(migrations: Migration[], history: HistoryRow[], log: (line: string) => void): Migration[] {
  const failed = history.find((row) => !row.finished_at && !row.rolled_back_at)
  if (failed) {
    throw new MigrationError(
      `migration ${failed.migration_name} failed earlier (P3009): repair the database, then mark it with ` +
        `"prisma migrate resolve --applied" or "--rolled-back ${failed.migration_name}"`,
    )
  }
  const done = history.filter((row) => !row.rolled_back_at)
  const checksums = new Map(done.map((row) => [row.migration_name, row.checksum]))
  return migrations.filter(({ name, checksum }) => {
    const applied = checksums.get(name)
    if (applied && applied !== checksum) log(`warning: migration ${name} was edited after it was applied`)
    return !applied
  })
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  const id = randomUUID()
  await client.query(
    'INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, now())',
    [id, checksum, name],
  )
  try {
    await runScript(client, sql)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    // The script may have left a transaction open or changed the search path.
    await client.query('ROLLBACK')
    await client.query('UPDATE "_prisma_migrations" SET logs = $2 WHERE id = $1', [id, reason])
    throw new MigrationError(`migration ${name} failed (P3018): ${reason}`, { cause: error })
  }
  await client.query(
    'UPDATE "_prisma_migrations" SET finished_at = now(), applied_steps_count = applied_steps_count + 1 WHERE id = $1',
    [id],
  )
}

const LOCK_TIMEOUT = `SET lock_timeout = '2s'`
const LOCK_NOT_AVAILABLE = '55P03'
const LOCK_TRIES = 200
const LOCK_PAUSE_MS = 3_000

/**
 * A script that waits for a table makes everybody else wait behind it. So it waits for two seconds at most, gives way, and
 * tries again, for ten minutes or more.
 */
async function runScript(client: pg.Client, sql: string): Promise<void> {
  await client.query(LOCK_TIMEOUT)
  for (let tries = 1; ; tries += 1) {
    try {
      // Without values pg sends one simple query, which Postgres runs as one implicit transaction.
      await client.query(sql)
      break
    } catch (error) {
      if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE || tries === LOCK_TRIES) throw error
      await client.query('ROLLBACK')
      await sleep(LOCK_PAUSE_MS)
    }
  }
  await client.query('RESET lock_timeout')
}
