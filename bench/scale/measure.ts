import { setTimeout as sleep } from 'node:timers/promises'
import { createRetention } from '../../src/core/retention/retention.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { silentMetrics as metrics } from '../../test/support/monitor.ts'
import { type Connection, openConnection } from '../connection.ts'
import { percentile } from '../load.ts'
import type { Operation } from './operations.ts'
import type { Size } from './size.ts'
import type { Statement } from './statistics.ts'

/** The cost of one request or one run. */
export interface Cost {
  /** Milliseconds from sending to the answer, one request at a time: what the fastest tenth does not exceed. */
  ms: number
  /** Milliseconds that Postgres planned and executed. */
  postgresMs: number
  /** Pages of 8 kB that Postgres read, from memory or disk. */
  blocks: number
}

/** Sends the requests of one round, one at a time. @throws when an answer has another status. */
export async function measureOperation(
  size: Size,
  { name, clients, status = 200 }: Operation,
): Promise<Cost> {
  const { statistics, app } = size
  const round = await clients()
  const connection: Connection = await openConnection(app.url)
  try {
    await statistics.reset()
    const latencies: number[] = []
    for (const client of round) {
      const request = client.next()
      const sentAt = performance.now()
      const answer = await connection.exchange(request)
      latencies.push(performance.now() - sentAt)
      if (answer.status !== status) throw new Error(`${name} answered ${answer.status}: ${answer.body}`)
      client.onAnswer?.(answer)
    }
    // Statements of the server's background tasks run less often than once per request.
    const own = (await statistics.statements()).filter(({ calls }) => calls >= round.length / 2)
    const perRequest = (of: (statement: Statement) => number) =>
      own.reduce((sum, statement) => sum + of(statement), 0) / round.length
    return {
      ms: percentile(latencies, 0.1),
      postgresMs: perRequest(({ ms }) => ms),
      blocks: perRequest(({ blocks }) => blocks),
    }
  } finally {
    connection.close()
  }
}

/** A run of the retention that finds nothing to delete. */
export async function measureRetention({ signer: { db }, statistics }: Size): Promise<Cost> {
  const retention = createRetention({ db, clock: systemClock, log: SILENT, metrics, auditDays: 365 })
  await retention.run()
  await statistics.reset()
  const began = performance.now()
  await retention.run()
  const ms = performance.now() - began
  const deleting = (await statistics.statements()).filter(({ text }) => text.includes('DELETE'))
  return {
    ms,
    postgresMs: deleting.reduce((sum, statement) => sum + statement.ms, 0),
    blocks: deleting.reduce((sum, statement) => sum + statement.blocks, 0),
  }
}

export const SILENT = { info() {}, warn() {}, error() {} }

const IDLE_MS = 8_000

/** What servers do without requests: the mean cost of each statement, by its text. */
export async function measureIdle(sizes: readonly Size[]): Promise<Map<string, Cost>[]> {
  for (const { statistics } of sizes) await statistics.reset()
  await sleep(IDLE_MS)
  return Promise.all(
    sizes.map(async ({ statistics }) => {
      const repeated = (await statistics.statements()).filter(
        ({ calls, text }) => calls >= 4 && / FROM /.test(text),
      )
      return new Map(
        repeated.map(({ text, ms, blocks, calls }) => [
          text,
          { ms: ms / calls, postgresMs: ms / calls, blocks: blocks / calls },
        ]),
      )
    }),
  )
}
