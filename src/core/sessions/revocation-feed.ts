import { type Background, repeat } from '../../platform/background.ts'
import { type Clock, createElapsedClock } from '../../platform/clock.ts'
import { INCARNATION } from '../../platform/incarnation.lua.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { RedisConnection } from '../../platform/redis.ts'
import { isStoreUnavailable, StoreUnavailable } from '../../platform/store-unavailable.ts'
import { Problem } from '../problems/problems.ts'
import { endedWithin, readEnded } from './ledger.ts'
import type { RevokedTokens } from './revoked-tokens.ts'

/**
 * Collects the revocations of all nodes on this one: at once from a Redis stream, and from the ledger about
 * twice a second, whether Redis works or not. Each source alone covers what ended up to a second ago.
 */
export interface RevocationFeed extends Background {
  /** Whether this node knows every revocation up to a second ago. */
  readonly isFresh: boolean
  /** Makes the feed fresh. @throws `unavailable` when neither store can be read: then no token is accepted. */
  catchUp(): Promise<void>
  /** Sends revocations to every node. Rejects when Redis does not answer. */
  publish(sessionIds: readonly string[]): Promise<void>
  /** Tells every node that a signing key is distrusted, also one that cannot read the ledger. */
  publishKey(kid: string): Promise<void>
  /** Calls back for each key that some node published. */
  onKey(listener: (kid: string) => void): void
  /** Resolves when all revocations that a token can outlive are known. @throws what Postgres throws. */
  start(): Promise<void>
}

export interface RevocationFeedDeps
  extends UsesPlatform<'db' | 'poll' | 'redis' | 'redisBreaker' | 'log' | 'metrics'> {
  /** A separate connection, because reading blocks it. */
  reader: RedisConnection
  revoked: Pick<RevokedTokens, 'addSession'>
  /** Milliseconds an access token can outlive its session. */
  keepMs: number
  /** Tells how old knowledge is. */
  elapsed?: Clock
}

/** A reader's position in a stream. */
interface Position {
  last: string
  incarnation: string
}

const STREAM = 'ratchet:revocations'
// The incarnation of the server, and whether the stream still holds an entry.
const INSPECT = `${INCARNATION}
return { incarnation(''), #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) }
`

// ARGV: how long entries are kept (ms), what they name, and the names. By Redis's clock, which also makes their ids: a
// node whose clock is wrong must not delete what others have yet to read.
const PUBLISH = `
local time = redis.call('TIME')
local oldest = string.format('%.0f', time[1] * 1000 - ARGV[1])
for index = 3, #ARGV do
  redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', ARGV[2], ARGV[index])
end
`

const FRESH_MS = 1_000
const BLOCK_MS = 300
const RETRY_MS = 200
const BATCH = 1_000
// A revocation is dated before its transaction commits, so each reading covers some of the time before it again.
const OVERLAP_MS = 5_000

export function createRevocationFeed(deps: RevocationFeedDeps): RevocationFeed {
  const { db, poll, redis, reader, revoked, keepMs, elapsed = createElapsedClock() } = deps
  let knownUpTo = Number.NEGATIVE_INFINITY
  let catchingUp: Promise<void> | undefined
  const keyListeners: ((kid: string) => void)[] = []

  const isFresh = () => elapsed.now() - knownUpTo <= FRESH_MS
  /** Everything that ended before this time of the clock is known. */
  const markKnownUpTo = (time: number) => {
    knownUpTo = Math.max(knownUpTo, time)
  }

  let ledgerReadAt = Number.NEGATIVE_INFINITY

  /** Milliseconds before now for which the ledger has to be read. */
  const unreadMs = () => Math.min(keepMs, elapsed.now() - ledgerReadAt + OVERLAP_MS)

  function learn(ended: readonly string[], askedAt: number): void {
    for (const id of ended) revoked.addSession(id)
    ledgerReadAt = Math.max(ledgerReadAt, askedAt)
    markKnownUpTo(askedAt)
  }

  async function readLedger(backMs: number): Promise<void> {
    const askedAt = elapsed.now()
    learn(await readEnded(db, backMs, keepMs), askedAt)
  }

  let asked = 0
  poll.ask<string[]>({
    task: 'revocation_ledger',
    sql() {
      asked = elapsed.now()
      return endedWithin(unreadMs(), keepMs)
    },
    answer: (ended) => learn(ended, asked),
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
        if (deps.redisBreaker.isOpen) throw new StoreUnavailable('redis')
        throw isStoreUnavailable(error) ? error : new StoreUnavailable('redis', error)
      }
    },
    failure: {
      message: 'the stream of revocations cannot be read',
      recovered: 'the stream of revocations is read again',
    },
    monitor: deps,
  })

  /** Starts at the end of the stream: the ledger holds what was published before. */
  async function begin(): Promise<Position> {
    const [newest] = await reader.redis.xrevrange(STREAM, '+', '-', 'COUNT', 1)
    const last = newest?.[0] ?? (await reader.redis.xadd(STREAM, '*', 'sid', '')) ?? ''
    const [incarnation] = await inspect(last)
    await readLedger(keepMs)
    return { last, incarnation }
  }

  /** After a lost connection: whether the server still has the same data and the last entry that was read. */
  async function isWhole({ last, incarnation }: Position): Promise<boolean> {
    const [now, found] = await inspect(last)
    return found === 1 && now === incarnation
  }

  const inspect = (last: string) => reader.redis.eval(INSPECT, 1, STREAM, last) as Promise<[string, number]>

  async function readStream(from: Position): Promise<void> {
    const sentAt = elapsed.now()
    const stream = reader.redis
    const answer = await stream.xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', STREAM, from.last)
    const entries = answer?.[0]?.[1] ?? []
    for (const [id, fields] of entries) {
      from.last = id
      const [what, name] = fields
      if (what === 'kid' && name) for (const listener of keyListeners) listener(name)
      else if (name) revoked.addSession(name)
    }
    // The time of the request, because the answer may be late. After a full batch the stream may hold more.
    if (entries.length < BATCH) markKnownUpTo(sentAt)
  }

  async function write(what: 'sid' | 'kid', names: readonly string[]): Promise<void> {
    await redis.eval(PUBLISH, 1, STREAM, keepMs, what, ...names)
  }

  return {
    get isFresh() {
      return isFresh()
    },
    catchUp() {
      // The poll too: after a standstill a key may be distrusted, and the time of Postgres is another.
      catchingUp ??= Promise.all([readLedger(unreadMs()), poll.askNow().catch(() => {})])
        .then(() => {})
        .catch((cause) => {
          // The stream may have been read in the meantime.
          if (!isFresh()) throw new Problem('unavailable', { retryAfter: 1 }, { cause })
        })
        .finally(() => {
          catchingUp = undefined
        })
      return catchingUp
    },
    publish: (sessionIds) => write('sid', sessionIds),
    publishKey: (kid) => write('kid', [kid]),
    onKey: (listener) => void keyListeners.push(listener),
    async start() {
      await readLedger(keepMs)
      streamReader.start()
    },
    async stop() {
      const stopped = streamReader.stop()
      // Ends the read that blocks.
      reader.close()
      await stopped
    },
  }
}
