import { type Config, environment, loadConfig } from '../config.ts'
import type { CircuitBreaker } from '../platform/circuit-breaker.ts'
import { type Database, openDatabase } from '../platform/database.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { createTransact, type Transact } from '../platform/transact.ts'

/** What a command needs to change something in Postgres. */
export interface OperatorDatabase {
  config: Config
  db: Database
  databaseBreaker: CircuitBreaker
  transact: Transact
}

/** Runs a command with the migrated database of the configuration, and closes it. */
export async function withDatabase(run: (context: OperatorDatabase) => Promise<void>): Promise<void> {
  const config = loadConfig(environment())
  await requireMigrations(config.databaseUrl)
  const { db, databaseBreaker, close } = openDatabase({ url: config.databaseUrl, poolSize: 1 })
  try {
    await run({ config, db, databaseBreaker, transact: createTransact(db) })
  } finally {
    await close()
  }
}
