import pg from 'pg'
import { type Background, type BackgroundMonitor, repeat } from './background.ts'
import { faultOf } from './fault.ts'
import { Prisma } from './generated/client.ts'
import { type GuardedPool, ReadOnly } from './guarded-pool.ts'
import { isStoreUnavailable, StoreUnavailable } from './store-unavailable.ts'

/**
 * Asks the database, on behalf of background tasks, whether there is work for them. So an idle node runs one statement
 * about twice a second, however many tasks it has.
 */
export interface DatabasePoll extends Background {
  /** Resolves once everything has been asked for the first time, whether or not there was an answer. */
  start(): Promise<void>
  /** Asks everything once more, now. Rejects without an answer. */
  askNow(): Promise<void>
  ask<Value>(question: Question<Value>): void
}

/** What a background task wants to know twice a second. */
export interface Question<Value> {
  /** Names the task in logs and metrics. */
  task: string
  /** A scalar expression that costs next to nothing when there is no work. */
  sql(): Prisma.Sql
  /** Gets the value, as `pg` reads it, and when it was asked for (milliseconds of the monotonic clock). */
  answer(value: Value, askedAt: number): void
}

const EVERY_MS = 500

/**
 * @param pool of one connection, so that a busy server does not keep revocations from being read.
 * @param server `isDown` says whether its outage is known already; `isReadOnly` is called when it cannot write.
 */
export function createDatabasePoll(
  pool: GuardedPool,
  monitor: BackgroundMonitor,
  server: { isDown?(): boolean; isReadOnly?(): void } = {},
): DatabasePoll {
  const questions: Question<never>[] = []
  const failing = new Set<string>()

  async function askAll(asked: readonly Question<never>[]): Promise<void> {
    const { text, values } = Prisma.join([
      Prisma.sql`SELECT 1`,
      // On for a standby too.
      Prisma.sql`current_setting('transaction_read_only')`,
      ...asked.map(({ sql }) => sql()),
    ])
    const askedAt = performance.now()
    // Not prepared: a plan for any values could prefer to scan a whole table.
    const { rows } = await pool.query<unknown[]>({ text, values: [...values], rowMode: 'array' })
    const [, readOnly, ...answers] = rows[0] ?? []
    if (readOnly === 'on') {
      // What a standby answers may be old. Another server may have taken over its name.
      pool.drop()
      server.isReadOnly?.()
      throw new StoreUnavailable('postgres', new ReadOnly())
    }
    for (const [index, { answer }] of asked.entries()) answer(answers[index] as never, askedAt)
  }

  /** Postgres refuses the statement because of one question: the others still have to be asked. */
  async function askEach(): Promise<void> {
    for (const question of questions) {
      const { task } = question
      try {
        await askAll([question])
        failing.delete(task)
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) throw error
        monitor.metrics.countBackgroundFailure(task)
        if (!failing.has(task) && !isStoreUnavailable(error)) {
          const message = 'Postgres refuses the question of a background task'
          monitor.log.error({ task, reason: faultOf(error) }, message)
        }
        failing.add(task)
      }
    }
  }

  const poll = repeat({
    task: 'database_poll',
    everyMs: EVERY_MS,
    async run() {
      try {
        await askAll(questions)
        failing.clear()
      } catch (error) {
        if (server.isDown?.()) throw new StoreUnavailable('postgres')
        if (!(error instanceof pg.DatabaseError)) throw error
        await askEach()
      }
    },
    failure: {
      message: 'background tasks cannot ask Postgres for work',
      recovered: 'background tasks ask Postgres for work again',
    },
    monitor,
  })

  return {
    ask: (question) => void questions.push(question),
    async start() {
      poll.start()
      await poll.runNow().catch(() => {})
    },
    askNow: poll.runNow,
    stop: poll.stop,
  }
}
