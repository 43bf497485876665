import { type Config, loadOwnConfig } from '../config.ts'
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
  const config = await loadOwnConfig()
  await requireMigrations(config.database)
  const { db, databaseBreaker, close } = openDatabase({ ...config.database, poolSize: 1 })
  try {
    await run({ config, db, databaseBreaker, transact: createTransact(db) })
  } finally {
    await close()
  }
}
