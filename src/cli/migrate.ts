import { parseArgs } from 'node:util'
import { loadDatabaseUrl } from '../config.ts'
import { applyMigrations, MIGRATIONS, pendingMigrations } from '../platform/migrations.ts'

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
  const applied = await applyMigrations(databaseUrl, MIGRATIONS, console.log)
  if (applied.length === 0) console.log('the database is up to date')
}
