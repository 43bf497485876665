import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { bytes } from '../../../../../src/core/sessions/family-hash.ts'
import { markTombstoned, recordRevocations } from '../../../../../src/core/sessions/revocation-rows.ts'
import { MAX_CREDITS, OWN_CLIENT } from '../../../../../src/core/sessions/rotation/decide.ts'
import {
  type LedgerFamily,
  markInvalidated,
  readFamilies,
  rotatedOnLedger,
} from '../../../../../src/core/sessions/rotation/ledger-store.ts'
import { createRedisStore } from '../../../../../src/core/sessions/rotation/redis-store.ts'
import { createRotation, type Presented } from '../../../../../src/core/sessions/rotation/rotate.ts'
import type { Rotation } from '../../../../../src/core/sessions/rotation/rotations.ts'
import { createWriteBehind } from '../../../../../src/core/sessions/rotation/write-behind.ts'
import { createCircuitBreaker } from '../../../../../src/platform/circuit-breaker.ts'
import type { OpenDatabase } from '../../../../../src/platform/database.ts'
import { createOutages } from '../../../../../src/platform/outages.ts'
import { earlierColumns, earlierFields, earlierTurns } from '../../../../support/aging.ts'
import { silentLog as log, silentMetrics as metrics } from '../../../../support/monitor.ts'
import { DAY } from './histories.ts'
import { newSession, redisKey, redisTwin, rotateOnSettledLedger, standing } from './twins.ts'

const GRACE = 10_000
const LATE = 1_800_000
const WAIT = 3 * GRACE

/** Where a third-party client is: at home, elsewhere without a proof, or elsewhere with its secret. */
type Place = 'home' | 'elsewhere' | 'authenticated'

/** 'ledger elsewhere': on another node, which cannot flush the write-behind queue of this one. */
type Path = 'redis' | 'ledger' | 'ledger elsewhere'

export type Switch =
  /** Presents a token: how far behind the newest one issued, and with which key. */
  | { do: 'refresh'; on: Path; behind: number; attempt: string; from: Place }
  | { do: 'retry'; on: Path }
  | { do: 'wait' }
  | { do: 'wait long' }
  | { do: 'flush' }
  /** Kills the process: rotations that it had not flushed are lost. */
  | { do: 'kill' }
  | { do: 'empty' }
  | { do: 'save' }
  | { do: 'rollBack' }
  | { do: 'invalidate' }
  /** Another node marks the family and reads the ledger; it merges what it read later. */
  | { do: 'read' }
  | { do: 'merge' }
  | { do: 'end'; tombstoned: boolean }

const path = fc.constantFrom<Path>('redis', 'redis', 'redis', 'ledger', 'ledger elsewhere')
const refresh = fc.record({
  do: fc.constant('refresh' as const),
  on: path,
  behind: fc.constantFrom(0, 0, 0, 0, 0, 1, 1, 2),
  attempt: fc.constantFrom('', 'a', 'b'),
  from: fc.constantFrom<Place>('home', 'home', 'home', 'home', 'elsewhere', 'authenticated'),
})
const late = fc.record({
  do: fc.constant('refresh' as const),
  on: path,
  behind: fc.integer({ min: 1, max: 8 }),
  attempt: fc.constant(''),
  from: fc.constantFrom<Place>('home', 'authenticated'),
})
const retry = fc.record({
  do: fc.constant('retry' as const),
  on: path,
})
const plain = fc.record({
  do: fc.constantFrom(
    'wait',
    'wait long',
    'flush',
    'flush',
    'kill',
    'empty',
    'save',
    'rollBack',
    'invalidate',
    'read',
    'read',
    'merge',
    'merge',
  ),
})
const end = fc.record({ do: fc.constant('end' as const), tombstoned: fc.boolean() })

/** @param own the family is one of the operator's own client. */
export const switches = (own: boolean) =>
  fc.array(
    fc.oneof(
      { arbitrary: refresh, weight: 8 },
      { arbitrary: late, weight: own ? 0 : 4 },
      { arbitrary: retry, weight: 2 },
      { arbitrary: plain as fc.Arbitrary<Switch>, weight: 6 },
      { arbitrary: end, weight: 1 },
    ) as fc.Arbitrary<Switch>,
    { minLength: 4, maxLength: 24 },
  )

export interface Stores extends Pick<OpenDatabase, 'db' | 'query'> {
  redis: Redis
  userId: string
  incarnation: string
}

/** Runs one family's history on the two stores. @throws with the whole history where an invariant fails. */
export async function live(
  stores: Stores,
  familyHash: string,
  own: boolean,
  steps: readonly Switch[],
): Promise<void> {
  const { db, query, redis, userId, incarnation } = stores
  const key = redisKey(familyHash)
  const store = createRedisStore(redis)
  const hot = redisTwin(redis, incarnation)
  // Never started, so every command is tried: the history says which store is asked.
  const deadline = () => Number.MAX_SAFE_INTEGER
  const monitor = { log, metrics, outages: createOutages({ log, metrics }) }
  const breaker = createCircuitBreaker({ name: 'redis', probe: async () => {}, monitor })
  const redisBreaker = Object.assign(breaker, { deadline })
  const newProcess = () => {
    const writeBehind = createWriteBehind({ db, log, metrics, intervalMs: 500 })
    const { rotate } = createRotation({
      db,
      query,
      store,
      metrics,
      redisBreaker,
      writeBehind,
      incarnation: incarnation || undefined,
    })
    return { writeBehind, rotate }
  }
  let node = newProcess()
  let at = 0
  let ended = false
  let issued = 0
  let saved: Record<string, string> | undefined
  let last: { presented: number; attempt: string; from: Place } | undefined
  let unflushed: Rotation | undefined
  let reading: { mark: string; incarnation: string | null; family: LedgerFamily } | undefined
  let tombstoned = false
  let moved = false
  let waited = 0
  const attemptsOf = new Map<number, Set<string>>()
  const session = {
    ...newSession(familyHash, userId),
    ...(own ? {} : { clientId: 'app', resource: '', home: 'home' }),
  }
  await db.session.create({ data: session })

  function must(holds: boolean, what: string): void {
    if (!holds) throw new Error(`step ${at}: ${what}, in ${JSON.stringify(steps)}`)
  }
  const inLedger = async () => {
    const family = (await readFamilies(query, [familyHash])).get(familyHash)
    if (!family) throw new Error('the ledger lost a family')
    return family
  }
  // An ended family may consist of a tombstone only.
  const inRedis = async () =>
    (await redis.hexists(key, 'generation')) || (await redis.hexists(key, 'ended'))
      ? hot.get(familyHash)
      : undefined

  /** What the reconciler does before any node uses a Redis that was unavailable. */
  async function reconcile(): Promise<void> {
    const rotated = await rotatedOnLedger(db, 10_000)
    const ours = rotated.filter((family) => family.familyHash === familyHash)
    if (ours.length > 0) await store.invalidate([familyHash])
    await markInvalidated(db, ours)
    // Recording a revocation again only returns the tombstones that Redis does not have yet.
    if (ended)
      await store.writeTombstones(await recordRevocations(db, { familyHashes: [familyHash] }, 'logout'))
  }

  async function decideOn(on: Path, request: Presented) {
    if (on === 'redis') return node.rotate(familyHash, request)
    return {
      by: 'ledger' as const,
      verdict: await rotateOnSettledLedger(stores, familyHash, { ...request, waitedMs: 0 }),
    }
  }

  const presenter = (from: Place) =>
    own
      ? OWN_CLIENT
      : {
          ...{ client: 'app', authenticated: from === 'authenticated', proven: '', lateMs: LATE },
          home: from === 'home' ? 'home' : 'elsewhere',
        }

  async function ask(on: Path, presented: number, attempt: string, from: Place): Promise<void> {
    if (on === 'redis') await reconcile()
    const request: Presented = { ...presenter(from), presented, attempt, graceMs: GRACE, idleTtlMs: 30 * DAY }
    const tried = (attemptsOf.get(presented) ?? new Set()).add(attempt)
    attemptsOf.set(presented, tried)
    const isRetry = presented === issued - 1 && attempt !== '' && tried.size === 1
    // However many generations behind: all of this life is within the window.
    const showsMore = from === 'authenticated' || (from === 'home' && !moved)
    const isLate = !own && showsMore && waited < LATE - GRACE
    const honest = !ended && (presented === issued || isRetry || isLate)
    if (on === 'ledger') await flush()
    const before = on === 'redis' ? await inRedis() : await inLedger()
    const { verdict, by } = await decideOn(on, request)
    const succeeds = verdict !== null && 'generation' in verdict
    must(succeeds || !honest, `an honest client was refused: ${JSON.stringify(verdict)}`)
    if (succeeds) {
      const { outcome, claims: _, absoluteExpiresAt: __, ...rotated } = verdict
      const { generation, credits, rotatedAt } = rotated
      const isReissue = outcome === 'reissue' || outcome === 'late_reissue'
      must(!ended, `an ended family was rotated to ${generation}`)
      must(
        generation === presented + 1 || (!own && isReissue && generation > presented && generation <= issued),
        `generation ${presented} was rotated to ${generation}`,
      )
      must(credits >= 0 && credits <= MAX_CREDITS, `${credits} credits`)
      if (isReissue && before?.generation === generation)
        must(before.rotatedAt === rotatedAt, 'a re-issue changed the time of the rotation')
      if (outcome === 'late_reissue')
        must(from === 'authenticated' || rotated.home === request.home, `a late re-issue from ${from}`)
      if (!isReissue && from !== 'home') moved = true
      if (!isReissue && by === 'redis') remember({ familyHash, ...rotated })
      issued = Math.max(issued, generation)
      last = { presented, attempt, from }
    }
    if (verdict?.outcome === 'foreign' || verdict?.outcome === 'unproven') must(false, verdict.outcome)
    if (verdict?.outcome === 'reuse') {
      await store.writeTombstones(
        await recordRevocations(db, { familyHashes: [familyHash] }, 'reuse_detected'),
      )
      ended = true
    }
  }

  async function read(): Promise<void> {
    const mark = await store.mark(familyHash, standing(incarnation))
    if (mark) reading = { mark, incarnation: await redis.hget(key, 'incarnation'), family: await inLedger() }
  }

  async function merge(): Promise<void> {
    if (!reading || reading.family.ended) return
    const { family } = reading
    const before = await redis.hgetall(key)
    await store.merge(familyHash, reading, standing(incarnation))
    const after = await redis.hgetall(key)
    // An invalidation empties the incarnation, and a restart changes it: both make the mark void.
    if (before.merge !== reading.mark || before.incarnation !== reading.incarnation) {
      // Not as text: Redis reorders the fields of a large hash at any time.
      return must(isDeepStrictEqual(after, before), 'a merge without its mark changed Redis')
    }
    const current = await inLedger()
    must(!current.ended || !before.ended, 'a mark outlived a tombstone')
    must(!ended || !tombstoned, 'a merge revived an ended family')
    const { credits = MAX_CREDITS, generation = -1 } = before
    must(
      Number(after.generation) === Math.max(Number(generation), family.generation),
      'a merge lost a generation',
    )
    must(Number(after.credits) === Math.min(Number(credits), family.credits), 'a merge returned credits')
  }

  async function flush(): Promise<void> {
    const before = await inLedger()
    await node.writeBehind.flush()
    const after = await inLedger()
    must(after.generation >= before.generation, 'a flush lowered the generation')
    must(after.ended === before.ended, 'a flush changed a revocation')
    must(after.credits <= MAX_CREDITS, `${after.credits} credits in the ledger`)
    if (after.generation === before.generation)
      must(after.credits <= before.credits, 'a flush created credits')
    else must(after.credits <= (unflushed?.credits ?? -1), 'a flush created credits')
    unflushed = undefined
  }

  function remember(rotation: Rotation): void {
    if (!unflushed || unflushed.generation < rotation.generation) unflushed = rotation
    node.writeBehind.add(rotation)
  }

  function kill(): void {
    node = newProcess()
    unflushed = undefined
  }

  async function wait(ms: number): Promise<void> {
    waited += ms
    const waiting = unflushed
    kill()
    if (waiting)
      remember({ ...waiting, rotatedAt: waiting.rotatedAt - ms, turns: earlierTurns(waiting.turns, ms) })
    const stored = await redis.hgetall(key)
    if (stored.rotated_at) await redis.hset(key, earlierFields(stored, ms))
    if (saved) Object.assign(saved, earlierFields(saved, ms))
    await db.$executeRaw`UPDATE sessions SET ${earlierColumns(ms)} WHERE family_hash = ${bytes(familyHash)}`
  }

  for (const step of steps) {
    at += 1
    if (step.do === 'refresh') {
      await ask(step.on, Math.max(0, issued - step.behind), step.attempt, step.from)
    } else if (step.do === 'retry' && last) await ask(step.on, last.presented, last.attempt, last.from)
    else if (step.do === 'wait') await wait(WAIT)
    else if (step.do === 'wait long') await wait(LATE / 4)
    else if (step.do === 'flush') await flush()
    else if (step.do === 'kill') kill()
    else if (step.do === 'empty') await redis.del(key)
    else if (step.do === 'save') saved = await redis.hgetall(key)
    else if (step.do === 'invalidate') await store.invalidate([familyHash])
    else if (step.do === 'read') await read()
    else if (step.do === 'merge') await merge()
    else if (step.do === 'rollBack') {
      await redis.del(key)
      // A server that restarts has another incarnation.
      if (saved && Object.keys(saved).length > 0) await redis.hset(key, { ...saved, incarnation: 'another' })
    } else if (step.do === 'end') {
      const revocations = await recordRevocations(db, { familyHashes: [familyHash] }, 'logout')
      if (step.tombstoned) {
        await store.writeTombstones(revocations)
        await markTombstoned(db, revocations)
        tombstoned = true
      }
      ended = true
    }
  }
  await redis.del(key)
}
