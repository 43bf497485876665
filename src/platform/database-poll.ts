import pg from 'pg'
import { type BackgroundMonitor, reasonOf } from './background.ts'
import { Prisma } from './generated/client.ts'
import { ping } from './guarded-pool.ts'

/**
 * The heartbeat of the database, which asks on behalf of background tasks whether there is work for them. So an idle
 * node runs one statement about twice a second, however many tasks it has. The heartbeats between run none.
 */
export interface DatabasePoll {
  ask<Value>(question: Question<Value>): void
}

/** What a background task wants to know with every heartbeat. */
export interface Question<Value> {
  /** Names the task in logs and metrics. */
  task: string
  /** A scalar expression that costs next to nothing when there is no work. */
  sql(): Prisma.Sql
  /** Gets the value, as `pg` reads it, and when it was asked for (milliseconds of the monotonic clock). */
  answer(value: Value, askedAt: number): void
}

// A little less than two heartbeats take.
const ASK_MS = 500

/** `run` rejects when the database does not answer. */
export function createDatabasePoll(
  pool: pg.Pool,
  monitor: BackgroundMonitor,
): DatabasePoll & { run(): Promise<void> } {
  const questions: Question<never>[] = []
  const failing = new Set<string>()
  let askedLast = Number.NEGATIVE_INFINITY

  async function askAll(asked: readonly Question<never>[]): Promise<void> {
    const { text, values } = Prisma.join([Prisma.sql`SELECT 1`, ...asked.map(({ sql }) => sql())])
    const askedAt = performance.now()
    // Not prepared: a plan for any values could prefer to scan a whole table.
    const { rows } = await pool.query<unknown[]>({ text, values: [...values], rowMode: 'array' })
    for (const [index, { answer }] of asked.entries()) answer(rows[0]?.[index + 1] as never, askedAt)
  }

  /** A database that refuses one question is not unavailable, and the others still have to be asked. */
  async function askEach(): Promise<void> {
    for (const question of questions) {
      const { task } = question
      try {
        await askAll([question])
        failing.delete(task)
      } catch (error) {
        if (!isRefusal(error)) throw error
        monitor.metrics.countBackgroundFailure(task)
        if (!failing.has(task)) {
          monitor.log.error(
            { task, reason: reasonOf(error) },
            'Postgres refuses the question of a background task',
          )
        }
        failing.add(task)
      }
    }
  }

  return {
    ask: (question) => void questions.push(question),
    async run() {
      if (performance.now() - askedLast < ASK_MS) return ping(pool)
      askedLast = performance.now()
      try {
        await askAll(questions)
        failing.clear()
      } catch (error) {
        if (!isRefusal(error)) throw error
        await askEach()
      }
    },
  }
}

// Connections, resources, shutdown and the system around Postgres (appendix A). Any other error comes from a server that
// works, such as one about a missing right or a locked table.
const OUTAGE = /^(08|53|57P|58)/
const isRefusal = (error: unknown) => error instanceof pg.DatabaseError && !OUTAGE.test(error.code ?? '')
