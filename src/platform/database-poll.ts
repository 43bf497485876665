import type pg from 'pg'
import { Prisma } from './generated/client.ts'

/**
 * The heartbeat of the database, which asks on behalf of background tasks whether there is work for them. So an idle
 * node runs one statement about twice a second, however many tasks it has.
 */
export interface DatabasePoll {
  /**
   * Asks for one value with every heartbeat: SQL of a scalar expression that costs next to nothing when there is no work.
   * `answer` gets the value, as `pg` reads it, and when it was asked for (milliseconds of the monotonic clock).
   */
  ask<Value>(sql: () => Prisma.Sql, answer: (value: Value, askedAt: number) => void): void
}

interface Question {
  sql(): Prisma.Sql
  answer(value: never, askedAt: number): void
}

export function createDatabasePoll(pool: pg.Pool): DatabasePoll & { run(): Promise<void> } {
  const questions: Question[] = []
  return {
    ask: (sql, answer) => void questions.push({ sql, answer }),
    async run() {
      const asked = questions.slice()
      const { text, values } = Prisma.join([Prisma.sql`SELECT 1`, ...asked.map(({ sql }) => sql())])
      const askedAt = performance.now()
      // Not prepared: a plan for any values could prefer to scan a whole table.
      const { rows } = await pool.query<unknown[]>({ text, values: [...values], rowMode: 'array' })
      for (const [index, { answer }] of asked.entries()) answer(rows[0]?.[index + 1] as never, askedAt)
    },
  }
}
