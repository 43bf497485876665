import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { called } from './command.ts'
import type { Database } from './database.ts'
import { connected, DatabaseUnusable, requireUsable } from './database-check.ts'
import type { DatabaseTarget } from './database-login.ts'
import { readConnection, settingsOf } from './database-session.ts'
import {
  createHistory,
  type Migration,
  MigrationError,
  readHistory,
  record,
  unapplied,
} from './migration-history.ts'
import { ROOT } from './root.ts'

/** This project's migrations. */
export const MIGRATIONS = join(ROOT, 'prisma/migrations')

/** The advisory lock that Prisma's schema engine takes, so that the two exclude each other. */
const LOCK = 72_707_369

/**
 * Applies the migrations in `folder` that the database lacks, oldest first, one process at a time.
 * @returns the names of the migrations applied by this call.
 * @throws {MigrationError} when one fails, or had failed before and was not resolved. {DatabaseUnusable}
 */
export async function applyMigrations(
  database: string | DatabaseTarget,
  folder: string,
  log: (line: string) => void = () => {},
): Promise<string[]> {
  const migrations = await readMigrations(folder)
  await requireUsable(database, { createSchema: true })
  return withClient(database, log, async (client) => {
    const applied: string[] = []
    // Nothing is written, and no lock taken, if nothing is to be done: the database may be read-only.
    for (let warn = log; unapplied(migrations, await readHistory(client), warn).length > 0; warn = () => {}) {
      const name = await applyFirst(client, migrations)
      if (!name) continue
      log(`applied migration ${name}`)
      applied.push(name)
    }
    return applied
  })
}

/** Names of the migrations that {@link applyMigrations} would apply; changes nothing. */
export async function pendingMigrations(
  database: string | DatabaseTarget,
  folder: string,
): Promise<string[]> {
  const migrations = await readMigrations(folder)
  return withClient(database, undefined, async (client) =>
    unapplied(migrations, await readHistory(client)).map((migration) => migration.name),
  )
}

function withClient<T>(
  database: string | DatabaseTarget,
  log: ((line: string) => void) | undefined,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const target = readConnection(database)
  return connected(target, settingsOf(target), use, log)
}

/**
 * Checks that the server can use the database, and that it has all of this project's migrations.
 * @throws {MigrationError} {DatabaseUnusable} {DatabaseMisconfigured}
 */
export async function requireMigrations(database: string | DatabaseTarget): Promise<void> {
  await requireUsable(database)
  const pending = await pendingMigrations(database, MIGRATIONS).catch((error) => {
    if (error instanceof DatabaseUnusable) throw error
    // This user may lack the right to read the history, or a failure in it is already being handled.
    return []
  })
  if (pending.length === 0) return
  const remedy = `run "${called('migrate')}" first, or start the server with RUN_MIGRATIONS=true`
  throw new MigrationError(`the database lacks ${pending.join(', ')}: ${remedy}`)
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

// A script waits for a table for two seconds only, because everybody else waits behind it. Then it gives way and tries
// again, for ten minutes or more.
const TABLE_LOCK_MS = 2_000
const LOCK_NOT_AVAILABLE = '55P03'
const LOCK_TRIES = 200
const LOCK_PAUSE_MS = 3_000

/** Applies the oldest migration that is not applied yet, if any. @returns its name. @throws {MigrationError} */
async function applyFirst(client: pg.Client, migrations: Migration[]): Promise<string | undefined> {
  for (let tries = 1; ; tries += 1) {
    let migration: Migration | undefined
    try {
      migration = await beginNext(client, migrations)
      if (migration) {
        await client.query(`SET LOCAL lock_timeout = ${TABLE_LOCK_MS}`)
        // Without values pg sends one simple query, so that it may hold several statements.
        await client.query(migration.sql)
        await record(client, migration)
      }
      await client.query('COMMIT')
      return migration?.name
    } catch (error) {
      await client.query('ROLLBACK')
      const gaveWay = (error as { code?: string }).code === LOCK_NOT_AVAILABLE
      if (!migration || (gaveWay && tries === LOCK_TRIES)) throw error
      if (gaveWay) await sleep(LOCK_PAUSE_MS)
      else await fail(client, migrations, migration, error)
    }
  }
}

/** @throws {MigrationError} unless another process has applied the migration in the meantime. */
async function fail(
  client: pg.Client,
  migrations: Migration[],
  migration: Migration,
  cause: unknown,
): Promise<void> {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const next = await beginNext(client, migrations)
  if (next === migration) await record(client, migration, reason)
  await client.query('COMMIT')
  if (next === migration)
    throw new MigrationError(`migration ${migration.name} failed (P3018): ${reason}`, { cause })
}

/**
 * Begins a transaction that excludes other migrations, and Prisma's. It holds no lock of the session, because a pooler
 * may give each transaction another one.
 * @returns the oldest migration that is not applied yet.
 */
async function beginNext(client: pg.Client, migrations: Migration[]): Promise<Migration | undefined> {
  await client.query('BEGIN')
  for (const limit of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'])
    await client.query(`SET LOCAL ${limit} = 0`)
  await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK])
  await createHistory(client)
  return unapplied(migrations, await readHistory(client))[0]
}
