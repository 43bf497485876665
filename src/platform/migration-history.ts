import { randomUUID } from 'node:crypto'
import type pg from 'pg'

export interface Migration {
  name: string
  sql: string
  /** SHA-256 of the file, hex. */
  checksum: string
}

export interface HistoryRow {
  migration_name: string
  checksum: string
  finished_at: Date | null
  rolled_back_at: Date | null
}

/** A migration failed, now or earlier. Nothing else is applied until an operator has resolved it. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

// Exactly what `prisma migrate deploy` creates, so that it and this runner can continue each other's work.
const TABLE = `
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

/** Creates the table of the history if there is none. */
export const createHistory = (client: pg.ClientBase) => client.query(TABLE)

/** The history in the schema in which tables are made; empty if there is none. */
export async function readHistory(client: pg.ClientBase): Promise<HistoryRow[]> {
  // Not one that the search path finds elsewhere: tables are made in its first schema.
  const { rows: found } = await client.query<{ history: string | null }>(
    `SELECT to_regclass(quote_ident(current_schema()) || '."_prisma_migrations"')::text AS history`,
  )
  if (!found[0]?.history) return []
  const { rows } = await client.query<HistoryRow>(
    'SELECT migration_name, checksum, finished_at, rolled_back_at FROM "_prisma_migrations" ORDER BY started_at',
  )
  return rows
}

/** The migrations that a history lacks. @throws {MigrationError} when one had failed. */
export function unapplied(
  migrations: readonly Migration[],
  history: readonly HistoryRow[],
  log: (line: string) => void = () => {},
): Migration[] {
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

/** Records a migration: as applied, or as failed with a reason. */
export async function record(
  client: pg.ClientBase,
  { name, checksum }: Migration,
  failure?: string,
): Promise<void> {
  const isDone = failure === undefined
  await client.query(
    `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at, finished_at, applied_steps_count, logs)
     VALUES ($1, $2, $3, now(), CASE WHEN $4::boolean THEN clock_timestamp() END, $5, $6)`,
    [randomUUID(), checksum, name, isDone, isDone ? 1 : 0, failure],
  )
}
