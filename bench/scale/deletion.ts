import { createRetention } from '../../src/core/retention/retention.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { silentMetrics as metrics } from '../../test/support/monitor.ts'
import { type Client, pace, percentile } from '../load.ts'
import { rotating } from '../scenarios.ts'
import { plantExpired } from './fill.ts'
import { SILENT } from './measure.ts'
import { drawSessions } from './sample.ts'
import type { Size } from './size.ts'

interface Latency {
  p50: number
  p99: number
}

export interface Deletion {
  deleted: number
  seconds: number
  /** Of paced refreshes of random families, half of them read from the ledger; milliseconds. */
  quiet: Latency
  beside: Latency
}

const RATE = 100
const QUIET_SECONDS = 20

/** Paces refreshes alone and beside a retention that deletes expired sessions. */
export async function measureDeletion(size: Size, expired: number): Promise<Deletion> {
  await plantExpired(size.env.DATABASE_URL as string, size.sessions, expired)
  const next = await refreshes(size)
  const { url } = size.app
  // The first seconds are for the caches.
  await pace(url, next, RATE, QUIET_SECONDS / 4)
  const quiet = latencyOf(await pace(url, next, RATE, QUIET_SECONDS))
  const { db } = size.signer
  const retention = createRetention({ db, clock: systemClock, log: SILENT, metrics, auditDays: 365 })
  const began = performance.now()
  let deleted: number | undefined
  let seconds = 0
  const running = retention.run().then((count) => {
    deleted = count
    seconds = (performance.now() - began) / 1000
  })
  const latencies: number[] = []
  while (deleted === undefined) latencies.push(...(await pace(url, next, RATE, 2)))
  await running
  return { deleted, seconds, quiet, beside: latencyOf(latencies) }
}

const latencyOf = (latencies: readonly number[]): Latency => ({
  p50: percentile(latencies, 0.5),
  p99: percentile(latencies, 0.99),
})

/** Refreshes of many families in turn; every other one is of a family that Redis does not know yet. */
async function refreshes(size: Size): Promise<() => Client> {
  const taken = new Set<string>()
  const known = (await drawSessions(size, 500, taken)).map(({ refreshToken }) => rotating(refreshToken))
  let cold: Client[] = []
  let drawing: Promise<void> | undefined
  const draw = () => {
    drawing ??= drawSessions(size, 400, taken).then((drawn) => {
      cold = [...drawn.map(({ refreshToken }) => rotating(refreshToken)), ...cold]
      drawing = undefined
    })
    return drawing
  }
  await draw()
  let sent = 0
  return () => {
    sent += 1
    if (cold.length < 200) void draw()
    const fresh = sent % 2 === 0 ? cold.pop() : undefined
    return fresh ?? (known[sent % known.length] as Client)
  }
}
