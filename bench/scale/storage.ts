import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { openConnection, post } from '../connection.ts'
import { drawSessions } from './sample.ts'
import type { Size } from './size.ts'
import type { Statement } from './statistics.ts'

export interface Storage {
  /** Bytes per row in Postgres, by table: the table with its TOAST, and its indexes. */
  tables: { table: string; rows: number; bytes: number; indexBytes: number }[]
  /** Bytes per key in Redis. */
  family: number
  tombstone: number
}

/** Measures what a row and a family take. */
export async function measureStorage(size: Size): Promise<Storage> {
  const { rows } = await size.statistics.client.query(
    `SELECT /* bench */ relname AS table, reltuples::float8 AS rows, pg_table_size(oid) / reltuples AS bytes,
       pg_indexes_size(oid) / reltuples AS "indexBytes"
     FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples >= 1000 ORDER BY 2 DESC`,
  )
  const redis = new Redis(size.env.REDIS_URL as string)
  try {
    const live: number[] = []
    const ended: number[] = []
    for (const key of await redis.keys('rt:*')) {
      const bytes = (await redis.memory('USAGE', key)) ?? 0
      const isLive = await redis.hexists(key, 'claims')
      if (isLive) live.push(bytes)
      else ended.push(bytes)
    }
    return { tables: rows, family: mean(live), tombstone: mean(ended) }
  } finally {
    redis.disconnect()
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

export interface Updates {
  updates: number
  hot: number
  /** What Postgres spends on one rotation that a batch writes: milliseconds, pages, and bytes of write-ahead log. */
  ms: number
  blocks: number
  walBytes: number
  /** Microseconds of Redis for one rotation. */
  redisUs: number
}

const FAMILIES = 2_000
const ROTATIONS = 3
// Longer than the interval of the write-behind, so that each rotation becomes an update of its own.
const PAUSE_MS = 700
// Backends report their counters within seconds once they are idle.
const REPORT_MS = 11_000

/** Refreshes random families in turn and counts how many of the updates were HOT. */
export async function measureUpdates(size: Size): Promise<Updates> {
  const families = await drawSessions(size, Math.min(FAMILIES, size.sessions / 20), new Set())
  const read = async () => (await size.statistics.tables()).find(({ table }) => table === 'sessions')
  await sleep(REPORT_MS)
  const before = await read()
  await size.statistics.reset()
  const redis = new Redis(size.env.REDIS_URL as string)
  await redis.config('RESETSTAT')
  const connection = await openConnection(size.app.url)
  const tokens = families.map(({ refreshToken }) => refreshToken)
  for (let rotation = 0; rotation < ROTATIONS; rotation++) {
    for (const [index, refresh_token] of tokens.entries()) {
      const { status, body } = await connection.exchange(post('/auth/refresh', { refresh_token }))
      if (status !== 200) throw new Error(`a refresh answered ${status}: ${body}`)
      tokens[index] = JSON.parse(body).refresh_token
    }
    await sleep(PAUSE_MS)
  }
  connection.close()
  const stats = await redis.info('commandstats')
  redis.disconnect()
  await sleep(REPORT_MS)
  const after = await read()
  const batches = (await size.statistics.statements()).filter(
    ({ text }) => text.includes('jsonb_to_recordset') && text.includes('UPDATE sessions'),
  )
  const perRow = (of: (statement: Statement) => number) =>
    batches.reduce((sum, batch) => sum + of(batch), 0) / batches.reduce((sum, { rows }) => sum + rows, 0)
  return {
    redisUs: Number(/cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(stats)?.[1]),
    ms: perRow(({ ms }) => ms),
    blocks: perRow(({ blocks }) => blocks),
    walBytes: perRow(({ walBytes }) => walBytes),
    updates: (after?.updates ?? 0) - (before?.updates ?? 0),
    hot: (after?.hotUpdates ?? 0) - (before?.hotUpdates ?? 0),
  }
}
