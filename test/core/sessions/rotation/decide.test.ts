import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { decide, type FamilyState, OWN_CLIENT } from '../../../../src/core/sessions/rotation/decide.ts'
import { createRedisStore, type Merge } from '../../../../src/core/sessions/rotation/redis-store.ts'
import { StoreUnavailable } from '../../../../src/platform/circuit-breaker.ts'
import { openDatabase } from '../../../../src/platform/database.ts'
import { createTestDatabase } from '../../../support/database.ts'
import { check } from '../../../support/property.ts'
import { redisUrl } from '../../../support/redis.ts'
import { DAY, history, replay, type Twin } from './model/histories.ts'
import { claims, ledgerTwin, newUser, redisKey, redisTwin, standing } from './model/twins.ts'

const redis = new Redis(redisUrl)
const store = createRedisStore(redis)
const incarnation = process.env.TEST_REDIS_INCARNATION ?? ''
// So that later tests do not scan this many families.
t.teardown(async () => {
  await redis.flushdb()
  redis.disconnect()
})

const newHash = () => randomBytes(32).toString('base64url')

/** Many histories in parallel on one connection: commands of one event-loop tick are sent together. */
const agree = (twin: Twin, atOnce: number) =>
  fc.asyncProperty(
    fc.array(history, { minLength: atOnce, maxLength: atOnce }),
    async (histories) => void (await Promise.all(histories.map((each) => replay(twin, newHash, each)))),
  )

t.test('the script and the pure decision agree on 20,000 random histories', async (t) => {
  // A Redis in JavaScript is a hundred times slower.
  const numRuns = incarnation ? 2 : 200
  await check(t, agree(redisTwin(redis, incarnation), 100), { numRuns, endOnFailure: true })
  t.pass(`${numRuns * 100} histories`)
})

t.test('the ledger and the pure decision agree', async (t) => {
  const database = await createTestDatabase()
  const { close, ...ledger } = openDatabase({ url: database.url })
  t.teardown(async () => {
    await close()
    await database.drop()
  })
  await check(t, agree(ledgerTwin(ledger, await newUser(ledger.db)), 20), {
    numRuns: 50,
    endOnFailure: true,
  })
  t.pass('1,000 histories')
})

t.test('a merge takes the maximum, and what happened since its mark wins over it', async (t) => {
  const hash = newHash()
  const now = await redisTwin(redis, incarnation).now()
  const ledger = {
    generation: 5,
    rotatedAt: now - 60_000,
    reissues: 0,
    credits: 5,
    clean: 0,
    attempts: 'x',
    idleExpiresAt: now + DAY,
    absoluteExpiresAt: now + 2 * DAY,
    ...{ client: '', binding: '', home: '', turns: '' },
    claims,
  }
  const conditions = standing(incarnation)
  const rotate = (presented: number, merge?: Merge) =>
    store.rotate(
      hash,
      { presented, attempt: 'y', ...OWN_CLIENT, waitedMs: 0, graceMs: 10_000, idleTtlMs: DAY },
      conditions,
      merge,
    )
  /** Asks for a rotation of a cold family and returns the mark. */
  async function markOf(presented: number): Promise<string> {
    const answer = await rotate(presented)
    t.equal(answer.outcome, 'cold')
    return answer.outcome === 'cold' ? answer.mark : ''
  }
  const merging = (mark: string, generation = 5) => ({ mark, family: { ...ledger, generation } })

  const mark = await markOf(5)
  t.ok(mark)
  t.equal(await markOf(5), mark, 'requests for the same cold family share a mark')
  t.equal((await rotate(5, merging('another'))).outcome, 'cold', 'without its mark nothing is merged')
  t.match(await rotate(5, merging(mark)), { outcome: 'rotate', generation: 6 })
  t.match(
    await rotate(6, merging(mark, 50)),
    { outcome: 'rotate', generation: 7 },
    'a warm family needs no merge',
  )

  await store.invalidate([hash])
  t.match(await rotate(7, merging(await markOf(7), 3)), { outcome: 'rotate', generation: 8 })
  await redis.hset(redisKey(hash), 'incarnation', 'another')
  const late = await markOf(8)
  await store.invalidate([hash])
  t.equal((await rotate(8, merging(late))).outcome, 'cold', 'an invalidation voids the mark')
  const replaced = await markOf(8)
  await redis.hset(redisKey(hash), 'incarnation', 'another')
  t.equal((await rotate(8, merging(replaced))).outcome, 'cold', 'so does another incarnation')
  const ended = await markOf(8)
  await store.writeTombstones([{ familyHash: hash, reason: 'logout', absoluteExpiresAt: now + 2 * DAY }])
  t.match(await rotate(50, merging(ended, 50)), { outcome: 'ended', reason: 'logout' }, 'and a tombstone')
  await store.merge(hash, merging(ended, 50), conditions)
  t.match(await rotate(50), { outcome: 'ended', reason: 'logout' })
  const ttl = await redis.pttl(redisKey(hash))
  t.ok(ttl > DAY && ttl <= 2 * DAY)

  await redis.del(redisKey(hash))
  const emptied = await store.mark(hash, conditions)
  await redis.del(redisKey(hash))
  await store.merge(hash, merging(emptied), conditions)
  const again = await markOf(5)
  t.equal((await rotate(5, merging(emptied))).outcome, 'cold', 'and lost data')
  await store.merge(hash, merging(again), conditions)
  t.match(await rotate(5), { outcome: 'rotate', generation: 6 }, 'a merge makes a family warm')
  t.equal(await store.mark(hash, conditions), '', 'a warm family has no mark')

  const past = { ...conditions, deadline: now - 1 }
  const request = { presented: 6, attempt: 'y', ...OWN_CLIENT, waitedMs: 0, graceMs: 10_000, idleTtlMs: DAY }
  await t.rejects(
    store.rotate(hash, request, past),
    StoreUnavailable,
    'a command past its deadline does nothing',
  )
  await redis.del(redisKey(hash))
  t.equal(await store.mark(hash, past), '')
  await store.merge(hash, merging(await markOf(5)), past)
  t.equal((await rotate(5)).outcome, 'cold')
})

t.test('a mark that nobody uses is forgotten', async (t) => {
  const hash = newHash()
  await store.mark(hash, standing(incarnation))
  const ttl = await redis.pttl(redisKey(hash))
  t.ok(ttl > 0 && ttl <= 10_000)
})

t.test(
  'a thief cannot live on the grace window: five credits, one returned for 20 clean rotations',
  async (t) => {
    let state: FamilyState = {
      generation: 0,
      rotatedAt: 0,
      reissues: 0,
      credits: 5,
      clean: 0,
      attempts: '',
      idleExpiresAt: DAY,
      absoluteExpiresAt: DAY,
      ...{ client: '', binding: '', home: '', turns: '' },
      ended: '',
    }
    let now = 0
    const tick = () => {
      now += 1_000
      return now
    }
    const ask = (presented: number, now: number) =>
      decide(
        state,
        { presented, attempt: '', ...OWN_CLIENT, waitedMs: 0, graceMs: 10_000, idleTtlMs: DAY },
        now,
      )
    const take = (decision: ReturnType<typeof decide>) => {
      if ('state' in decision) state = decision.state
      return decision.outcome
    }
    for (let generation = 0; generation < 5; generation += 1) {
      t.equal(take(ask(generation, tick())), 'rotate')
      for (let retry = 0; retry < 10; retry += 1) t.equal(take(ask(generation, now + 10)), 'reissue')
      t.equal(take(ask(generation, now + 10)), 'superseded', 'the eleventh re-issue')
    }
    take(ask(5, tick()))
    t.equal(take(ask(5, now)), 'superseded', 'no credit left')
    for (let generation = 6; generation < 27; generation += 1) take(ask(generation, tick()))
    t.equal(take(ask(26, now)), 'reissue', 'one credit came back')
  },
)
