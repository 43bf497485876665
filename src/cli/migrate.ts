import { loadDatabase } from '../config.ts'
import type { DatabaseTarget } from '../platform/database-login.ts'
import { applyMigrations, MIGRATIONS, pendingMigrations } from '../platform/migrations.ts'
import { parseCall } from './commands.ts'
import { EXIT } from './exit.ts'
import { respellStored } from './users/respell.ts'

/** Applies pending migrations; with `--check` lists them instead and exits with 1 if there are any. */
export async function migrate(args: readonly string[]): Promise<void> {
  const { flags } = parseCall('migrate', args)
  const json = flags.has('json')
  const database = await loadDatabase()
  if (flags.has('check')) {
    const pending = await pendingMigrations(database, MIGRATIONS)
    if (json) printNames(pending)
    else console.log(pending.length > 0 ? `pending: ${pending.join(', ')}` : 'the database is up to date')
    if (pending.length > 0) process.exitCode = EXIT.notDone
    return
  }
  const applied = await migrateDatabase(database, json ? console.error : console.log)
  if (json) printNames(applied)
  else if (applied.length === 0) console.log('the database is up to date')
}

function printNames(migrations: readonly string[]): void {
  for (const migration of migrations) console.log(JSON.stringify({ migration }))
}

/**
 * Applies pending migrations, and then what takes more than SQL. Safe in several processes at once.
 * @returns the names of the migrations applied by this call.
 */
export async function migrateDatabase(
  database: DatabaseTarget,
  log: (line: string) => void,
): Promise<string[]> {
  const applied = await applyMigrations(database, MIGRATIONS, log)
  await respellStored(database, log)
  return applied
}
