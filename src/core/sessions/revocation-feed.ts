import { type Background, repeat } from '../../platform/background.ts'
import { INCARNATION } from '../../platform/incarnation.lua.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { RedisConnection } from '../../platform/redis.ts'
import { Problem } from '../problems/problems.ts'
import { readEnded } from './ledger.ts'
import type { RevokedTokens } from './revoked-tokens.ts'

/**
 * Brings the revocations of every node to this one: at once through a Redis stream, and through the ledger, which is
 * read twice a second whatever Redis does. Either is enough to know what ended up to a second ago.
 */
export interface RevocationFeed extends Background {
  /** Whether every revocation up to a second ago is known. */
  readonly isFresh: boolean
  /** Makes it so. @throws `unavailable` when neither store can be read: an unread feed never means accept. */
  catchUp(): Promise<void>
  /** Tells every node. Rejects when Redis does not answer. */
  publish(sessionIds: readonly string[]): Promise<void>
  /** Resolves when every revocation of the last access-token lifetime is known. @throws what Postgres throws. */
  start(): Promise<void>
}

export interface RevocationFeedDeps extends UsesPlatform<'db' | 'redis' | 'log' | 'metrics'> {
  /** A connection of the feed's own, because reading blocks it. */
  reader: RedisConnection
  revoked: Pick<RevokedTokens, 'addSession'>
  /** Milliseconds an access token can outlive its session. */
  keepMs: number
}

/** Where in which stream a reader stands. */
interface Position {
  last: string
  incarnation: string
}

const STREAM = 'ratchet:revocations'
// Whose memory the stream is in, and whether it still holds an entry.
const INSPECT = `${INCARNATION}
return { incarnation(''), #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) }
`

const FRESH_MS = 1_000
const POLL_MS = 400
const BLOCK_MS = 300
const RETRY_MS = 200
const BATCH = 1_000
// A revocation is dated when it is written and seen when its transaction commits: each reading looks back over this.
const OVERLAP_MS = 30_000

export function createRevocationFeed(deps: RevocationFeedDeps): RevocationFeed {
  const { db, redis, reader, revoked, keepMs } = deps
  let knownUpTo = Number.NEGATIVE_INFINITY
  let catchingUp: Promise<void> | undefined

  /** Everything that ended before this moment of the monotonic clock is known. */
  const learn = (moment: number) => {
    knownUpTo = Math.max(knownUpTo, moment)
  }

  async function readLedger(backMs: number): Promise<void> {
    const began = performance.now()
    for (const id of await readEnded(db, backMs)) revoked.addSession(id)
    learn(began)
  }

  let ledgerReadAt = performance.now()
  const ledgerReader = repeat({
    task: 'revocation_ledger',
    everyMs: POLL_MS,
    async run() {
      const began = performance.now()
      await readLedger(began - ledgerReadAt + OVERLAP_MS)
      // After a failure the next reading looks back as far as this one would have.
      ledgerReadAt = began
    },
    failure: {
      message: 'the ledger cannot be read for revocations',
      recovered: 'the ledger is read for revocations again',
    },
    monitor: deps,
  })

  let position: Position | undefined
  let interrupted = true
  const streamReader = repeat({
    task: 'revocation_stream',
    everyMs: () => (interrupted ? RETRY_MS : 0),
    firstMs: 0,
    async run() {
      try {
        if (!position || (interrupted && !(await isWhole(position)))) position = await begin()
        await readStream(position)
        interrupted = false
      } catch (error) {
        interrupted = true
        throw error
      }
    },
    failure: {
      message: 'the stream of revocations cannot be read',
      recovered: 'the stream of revocations is read again',
    },
    monitor: deps,
  })

  /** What was published before this position is in the ledger; what comes after it is in the stream. */
  async function begin(): Promise<Position> {
    const [newest] = await reader.redis.xrevrange(STREAM, '+', '-', 'COUNT', 1)
    const last = newest?.[0] ?? (await reader.redis.xadd(STREAM, '*', 'sid', '')) ?? ''
    const [incarnation] = await inspect(last)
    await readLedger(keepMs)
    return { last, incarnation }
  }

  /** After a lost connection: whether it is still the same stream, on a server that has forgotten nothing. */
  async function isWhole({ last, incarnation }: Position): Promise<boolean> {
    const [now, found] = await inspect(last)
    return found === 1 && now === incarnation
  }

  const inspect = (last: string) => reader.redis.eval(INSPECT, 1, STREAM, last) as Promise<[string, number]>

  async function readStream(from: Position): Promise<void> {
    const asked = performance.now()
    const stream = reader.redis
    const answer = await stream.xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', STREAM, from.last)
    const entries = answer?.[0]?.[1] ?? []
    for (const [id, fields] of entries) {
      from.last = id
      if (fields[1]) revoked.addSession(fields[1])
    }
    // As of the question: the answer may have been long on its way. A full batch may have more behind it.
    if (entries.length < BATCH) learn(asked)
  }

  return {
    get isFresh() {
      return performance.now() - knownUpTo <= FRESH_MS
    },
    catchUp() {
      catchingUp ??= readLedger(Math.min(keepMs, performance.now() - knownUpTo + OVERLAP_MS))
        .catch((cause) => {
          // The stream may have been read meanwhile.
          if (performance.now() - knownUpTo > FRESH_MS)
            throw new Problem('unavailable', { retryAfter: 1 }, { cause })
        })
        .finally(() => {
          catchingUp = undefined
        })
      return catchingUp
    },
    async publish(sessionIds) {
      const oldest = `${Date.now() - keepMs}`
      await Promise.all(sessionIds.map((id) => redis.xadd(STREAM, 'MINID', '~', oldest, '*', 'sid', id)))
    },
    async start() {
      await readLedger(keepMs)
      ledgerReadAt = performance.now()
      ledgerReader.start()
      streamReader.start()
    },
    async stop() {
      const stopped = Promise.all([ledgerReader.stop(), streamReader.stop()])
      // Ends the reading that blocks.
      reader.close()
      await stopped
    },
  }
}
