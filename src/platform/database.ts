import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { PrismaClient } from './generated/client.ts'

export type Database = PrismaClient
/** What a use case needs of a database: the client, or a transaction of it. */
export type Queryable = Parameters<Parameters<PrismaClient['$transaction']>[0]>[0]

export interface DatabaseOptions {
  url: string
  /** Connections this process may hold. */
  poolSize?: number
}

/** A Prisma client over a bounded pool that gives up on a silent server instead of hanging. */
export function openDatabase(options: DatabaseOptions): { db: Database; close(): Promise<void> } {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize ?? 10,
    connectionTimeoutMillis: 2_000,
    query_timeout: 5_000,
    keepAlive: true,
  })
  // An idle connection that dies is replaced by the pool; unheard, its error would end the process.
  pool.on('error', () => {})
  const db = new PrismaClient({ adapter: new PrismaPg(pool) })
  return {
    db,
    async close() {
      await db.$disconnect()
      await pool.end()
    },
  }
}
