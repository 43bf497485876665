import { parseArgs } from 'node:util'
import { loadDatabaseUrl } from '../config.ts'
import { applyMigrations, MIGRATIONS, pendingMigrations } from '../platform/migrations.ts'
import { respellStored } from './users/respell.ts'

/** Applies pending migrations; with `--check` lists them instead and exits 1 if there are any. */
export async function migrate(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { check: { type: 'boolean' } } })
  const databaseUrl = loadDatabaseUrl()
  if (values.check) {
    const pending = await pendingMigrations(databaseUrl, MIGRATIONS)
    console.log(pending.length > 0 ? `pending: ${pending.join(', ')}` : 'the database is up to date')
    if (pending.length > 0) process.exitCode = 1
    return
  }
  const applied = await migrateDatabase(databaseUrl, console.log)
  if (applied.length === 0) console.log('the database is up to date')
}

/**
 * Applies pending migrations, and then what takes more than SQL. Safe in several processes at once.
 * @returns the names of the migrations applied by this call.
 */
export async function migrateDatabase(databaseUrl: string, log: (line: string) => void): Promise<string[]> {
  const applied = await applyMigrations(databaseUrl, MIGRATIONS, log)
  await respellStored(databaseUrl, log)
  return applied
}
