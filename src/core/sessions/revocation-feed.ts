import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../../platform/database.ts'
import { INCARNATION } from '../../platform/incarnation.lua.ts'
import type { RedisClient, RedisConnection } from '../../platform/redis.ts'
import { Problem } from '../problems/problems.ts'
import type { RevokedSessions } from './revoked-sessions.ts'

/**
 * Brings the revocations of every node to this one: at once through a Redis stream, and through the ledger, which is
 * read twice a second whatever Redis does. Either is enough to know what ended up to a second ago.
 */
export interface RevocationFeed {
  /** Whether every revocation up to a second ago is known. */
  readonly fresh: boolean
  /** Makes it so. @throws `unavailable` when neither store can be read: an unread feed never means accept. */
  catchUp(): Promise<void>
  /** Tells every node. Rejects when Redis does not answer. */
  publish(sessionIds: readonly string[]): Promise<void>
  /** Resolves when every revocation of the last access-token lifetime is known. @throws what Postgres throws. */
  start(): Promise<void>
  stop(): Promise<void>
}

export interface RevocationFeedDeps {
  db: Database
  redis: RedisClient
  /** A connection of the feed's own: reading waits on it. */
  reader: RedisConnection
  revoked: RevokedSessions
  /** Milliseconds an access token can outlive its session. */
  keepMs: number
  log: { warn(details: object, message: string): void; info(details: object, message: string): void }
}

/** Where in which stream a reader stands. */
interface Place {
  last: string
  incarnation: string
}

const STREAM = 'ratchet:revocations'
// Whose memory the stream is in, and whether it still holds an entry.
const LOOK = `${INCARNATION}
return { incarnation(''), #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) }
`
const FRESH_MS = 1_000
const POLL_MS = 400
const BLOCK_MS = 300
const BATCH = 1_000
// A revocation is dated when it is written and seen when its transaction commits: each reading looks back over this.
const OVERLAP_MS = 30_000

export function createRevocationFeed(deps: RevocationFeedDeps): RevocationFeed {
  const { db, redis, reader, revoked, keepMs, log } = deps
  const stopping = new AbortController()
  let known = Number.NEGATIVE_INFINITY
  let deaf = false
  let catching: Promise<void> | undefined
  let loops: Promise<unknown> = Promise.resolve()

  /** Everything that ended before this moment of the monotonic clock is known. */
  const knownUpTo = (moment: number) => {
    known = Math.max(known, moment)
  }

  async function readLedger(backMs: number): Promise<void> {
    const began = performance.now()
    const rows = await db.$queryRaw<{ id: string }[]>`
      SELECT id FROM sessions WHERE ended_at > clock_timestamp() - ${backMs}::float8 * interval '1 millisecond'`
    for (const { id } of rows) revoked.add(id)
    knownUpTo(began)
  }

  async function pollLedger(): Promise<void> {
    let since = performance.now()
    while (!stopping.signal.aborted) {
      await pause(POLL_MS)
      const began = performance.now()
      try {
        await readLedger(began - since + OVERLAP_MS)
        since = began
      } catch {
        // The next reading looks back as far as this one would have.
      }
    }
  }

  async function followStream(): Promise<void> {
    let place: Place | undefined
    while (!stopping.signal.aborted) {
      try {
        if (!place || !(await isWhole(place))) place = await begin()
        await readStream(place)
      } catch (error) {
        if (stopping.signal.aborted) return
        if (!deaf) log.warn({ reason: (error as Error).message }, 'the stream of revocations cannot be read')
        deaf = true
        await pause(200)
      }
    }
  }

  /** What was published before this place is in the ledger; what comes after it is in the stream. */
  async function begin(): Promise<Place> {
    const [newest] = await reader.redis.xrevrange(STREAM, '+', '-', 'COUNT', 1)
    const last = newest?.[0] ?? (await reader.redis.xadd(STREAM, '*', 'sid', '')) ?? ''
    const [incarnation] = await look(last)
    await readLedger(keepMs)
    return { last, incarnation }
  }

  /** After a lost connection: whether it is still the same stream, on a server that has forgotten nothing. */
  async function isWhole({ last, incarnation }: Place): Promise<boolean> {
    const [now, found] = await look(last)
    return found === 1 && now === incarnation
  }

  const look = (last: string) => reader.redis.eval(LOOK, 1, STREAM, last) as Promise<[string, number]>

  async function readStream(place: Place): Promise<void> {
    while (!stopping.signal.aborted) {
      const asked = performance.now()
      const { redis: stream } = reader
      const answer = await stream.xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', STREAM, place.last)
      if (deaf) log.info({}, 'the stream of revocations is read again')
      deaf = false
      const entries = answer?.[0]?.[1] ?? []
      for (const [id, fields] of entries) {
        place.last = id
        if (fields[1]) revoked.add(fields[1])
      }
      // As of the question: the answer may have been long on its way. A full batch may have more behind it.
      if (entries.length < BATCH) knownUpTo(asked)
    }
  }

  const pause = (ms: number) => delay(ms, undefined, { signal: stopping.signal, ref: false }).catch(() => {})

  return {
    get fresh() {
      return performance.now() - known <= FRESH_MS
    },

    catchUp() {
      catching ??= readLedger(Math.min(keepMs, performance.now() - known + OVERLAP_MS))
        .catch((cause) => {
          // The stream may have been read meanwhile.
          if (performance.now() - known > FRESH_MS)
            throw new Problem('unavailable', { retryAfter: 1 }, { cause })
        })
        .finally(() => {
          catching = undefined
        })
      return catching
    },

    async publish(sessionIds) {
      const oldest = `${Date.now() - keepMs}`
      await Promise.all(sessionIds.map((id) => redis.xadd(STREAM, 'MINID', '~', oldest, '*', 'sid', id)))
    },

    async start() {
      await readLedger(keepMs)
      loops = Promise.all([pollLedger(), followStream()])
    },

    async stop() {
      stopping.abort()
      reader.close()
      await loops
    },
  }
}
