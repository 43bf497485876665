import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { decide, type FamilyState } from '../../../../src/core/sessions/rotation/decide.ts'
import { createRedisStore } from '../../../../src/core/sessions/rotation/redis-store.ts'
import { StoreUnavailable } from '../../../../src/platform/circuit-breaker.ts'
import { openDatabase } from '../../../../src/platform/database.ts'
import { createTestDatabase } from '../../../support/database.ts'
import { check } from '../../../support/property.ts'
import { redisUrl } from '../../../support/server.ts'
import { DAY, history, replay, type Twin } from './model/histories.ts'
import { claims, ledgerTwin, newUser, redisKey, redisTwin, standing } from './model/twins.ts'

const redis = new Redis(redisUrl, { enableAutoPipelining: true })
const store = createRedisStore(redis)
const incarnation = process.env.TEST_REDIS_INCARNATION ?? ''
// So that later tests do not scan this many families.
t.teardown(async () => {
  await redis.flushdb()
  redis.disconnect()
})

const newHash = () => randomBytes(32).toString('base64url')

/** Many histories in parallel on one connection: commands of one event-loop tick are sent together. */
const agree = (twin: Twin, atOnce: number, bound: boolean) =>
  fc.asyncProperty(
    fc.array(history(bound), { minLength: atOnce, maxLength: atOnce }),
    async (histories) => void (await Promise.all(histories.map((each) => replay(twin, newHash, each)))),
  )

t.test('the script and the pure decision agree on 20,000 random histories', async (t) => {
  // A Redis in JavaScript is a hundred times slower.
  const numRuns = incarnation ? 2 : 200
  await check(t, agree(redisTwin(redis, incarnation), 100, true), { numRuns, endOnFailure: true })
  t.pass(`${numRuns * 100} histories`)
})

t.test('the ledger and the pure decision agree', async (t) => {
  const database = await createTestDatabase()
  const { db, close } = openDatabase({ url: database.url })
  t.teardown(async () => {
    await close()
    await database.drop()
  })
  await check(t, agree(ledgerTwin(db, await newUser(db)), 20, false), { numRuns: 25, endOnFailure: true })
  t.pass('500 histories')
})

t.test('a merge takes the maximum, and a tombstone wins over any merge', async (t) => {
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
    binding: '',
    claims,
  }
  const request = { attempt: 'y', proven: '', waitedMs: 0, graceMs: 10_000, idleTtlMs: DAY }
  const merge = async (changes: Partial<typeof ledger> = {}) =>
    store.merge(hash, { ...ledger, ...changes }, standing(incarnation))
  const invalidate = () => store.invalidate([hash])

  t.equal((await store.rotate(hash, { ...request, presented: 5 }, standing(incarnation))).outcome, 'cold')
  t.equal(await merge(), 'merged')
  t.match(await store.rotate(hash, { ...request, presented: 5 }, standing(incarnation)), {
    outcome: 'rotate',
    generation: 6,
  })
  await invalidate()
  t.equal(await merge({ generation: 3 }), 'merged')
  t.match(await store.rotate(hash, { ...request, presented: 6 }, standing(incarnation)), {
    outcome: 'rotate',
    generation: 7,
  })
  await redis.hset(redisKey(hash), 'incarnation', 'another')
  if (!incarnation)
    t.equal(
      (await store.rotate(hash, { ...request, presented: 7 }, standing(incarnation))).outcome,
      'cold',
      'state from before a restart is not trusted',
    )
  await store.writeTombstones([{ familyHash: hash, reason: 'logout', absoluteExpiresAt: now + 2 * DAY }])
  t.equal(await merge({ generation: 50 }), 'ended')
  t.match(await store.rotate(hash, { ...request, presented: 50 }, standing(incarnation)), {
    outcome: 'ended',
    reason: 'logout',
  })
  const ttl = await redis.pttl(redisKey(hash))
  t.ok(ttl > DAY && ttl <= 2 * DAY)

  await redis.del(redisKey(hash))
  await merge()
  const other = { ...standing(incarnation), merge: 'of another node' }
  const asks = (as: typeof other) => store.rotate(hash, { ...request, presented: 5 }, as)
  t.equal((await asks(other)).outcome, 'cold', 'at first only the node that made a merge trusts it')
  await store.invalidate([hash])
  t.equal((await asks(standing(incarnation))).outcome, 'cold', 'no node trusts it once it was invalidated')
  await merge()
  t.equal((await asks(standing(incarnation))).outcome, 'rotate')
  t.equal(
    (await store.rotate(hash, { ...request, presented: 6 }, other)).outcome,
    'rotate',
    'then every node trusts it',
  )
  const late = { ...standing(incarnation), deadline: now - 1 }
  await t.rejects(asks(late), StoreUnavailable, 'a command past its deadline does nothing')
  await t.rejects(store.merge(hash, ledger, late), StoreUnavailable)
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
      binding: '',
      ended: '',
    }
    let now = 0
    const tick = () => {
      now += 1_000
      return now
    }
    const ask = (presented: number, now: number) =>
      decide(state, { presented, attempt: '', proven: '', waitedMs: 0, graceMs: 10_000, idleTtlMs: DAY }, now)
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
