import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { environment, loadConfig } from '../config.ts'
import { applyMigrations, pendingMigrations } from '../platform/migrations.ts'

/** The same two levels up from `src/cli` and from `dist/cli`. */
export const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))

/** Applies pending migrations; with `--check` lists them instead and exits 1 if there are any. */
export async function migrate(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { check: { type: 'boolean' } } })
  const env = environment()
  // A migration job needs no other variable; the split forms of the URL are read by the configuration.
  const databaseUrl = env.DATABASE_URL || loadConfig(env).databaseUrl
  if (values.check) {
    const pending = await pendingMigrations(databaseUrl, MIGRATIONS)
    console.log(pending.length > 0 ? `pending: ${pending.join(', ')}` : 'the database is up to date')
    if (pending.length > 0) process.exitCode = 1
    return
  }
  const applied = await applyMigrations(databaseUrl, MIGRATIONS, console.log)
  if (applied.length === 0) console.log('the database is up to date')
}
