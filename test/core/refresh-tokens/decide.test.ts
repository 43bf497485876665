import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { decide, type FamilyState, type RotationRequest } from '../../../src/core/refresh-tokens/decide.ts'
import { createRedisStore } from '../../../src/core/refresh-tokens/redis-store.ts'
import { redisUrl } from '../../support/server.ts'

const redis = new Redis(redisUrl)
const store = createRedisStore(redis)
const incarnation = process.env.TEST_REDIS_INCARNATION ?? ''
const standing = { incarnation, merge: 'm', deadline: Number.MAX_SAFE_INTEGER }
t.teardown(() => redis.disconnect())

const DAY = 86_400_000
const redisNow = async () => {
  const [seconds, micros] = await redis.time()
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}
const claims = '{"sid":"s"}'

// Ages keep a second away from every boundary, because Redis's clock runs on between two readings.
const age = fc.constantFrom(
  -60_000,
  -12_000,
  -8_000,
  -3_000,
  1_000,
  5_000,
  8_000,
  12_000,
  60_000,
  DAY - 5_000,
  DAY + 5_000,
)
const attempt = fc.constantFrom('', 'a', 'b')
const step = fc.record({
  behind: fc.constantFrom(-3, -1, 0, 0, 0, 1, 1, 1, 1, 2, 5),
  attempt,
  proven: fc.constantFrom('', 'key'),
  waitedMs: fc.constantFrom(0, 0, 0, 3_000),
  age,
})
const family = fc.record({
  credits: fc.integer({ min: 0, max: 5 }),
  clean: fc.integer({ min: 0, max: 19 }),
  reissues: fc.integer({ min: 0, max: 10 }),
  attempts: fc.constantFrom('', 'a', 'b', 'a b', 'b a a b', '- a'),
  binding: fc.constantFrom('', 'key', 'other'),
  idle: fc.constantFrom(-1_000, 30 * DAY),
})

t.test('the script and the pure decision agree on random histories', async (t) => {
  await fc.assert(
    fc.asyncProperty(family, fc.array(step, { minLength: 1, maxLength: 12 }), async (start, steps) => {
      const hash = randomBytes(32).toString('base64url')
      const key = `rt:{${hash}}`
      const born = await redisNow()
      let state: FamilyState = {
        generation: 10,
        rotatedAt: born,
        reissues: start.reissues,
        credits: start.credits,
        clean: start.clean,
        attempts: start.attempts,
        idleExpiresAt: born + (steps.length === 1 ? start.idle : 30 * DAY),
        absoluteExpiresAt: born + 90 * DAY,
        binding: start.binding,
        ended: '',
      }
      await store.merge(hash, { ...state, idleExpiresAt: born + 30 * DAY, claims }, standing)
      await redis.hset(key, {
        reissues: state.reissues,
        credits: state.credits,
        clean: state.clean,
        idle_expires_at: state.idleExpiresAt,
      })
      for (const { behind, age, ...rest } of steps) {
        const request: RotationRequest = {
          presented: Math.max(0, state.generation - behind),
          graceMs: 10_000,
          idleTtlMs: 30 * DAY,
          ...rest,
        }
        const now = await redisNow()
        state = { ...state, rotatedAt: now - age }
        if (!state.ended) await redis.hset(key, 'rotated_at', state.rotatedAt)
        const expected = decide(state, request, now)
        const actual = await store.rotate(hash, request, standing)
        if (state.ended) {
          // Until the ledger holds it, the script goes on saying so.
          if (actual.outcome !== 'reuse') throw new Error('a reuse was forgotten')
          break
        }
        if (actual.outcome !== expected.outcome)
          throw new Error(`script: ${actual.outcome}, decide: ${expected.outcome}`)
        if ('state' in expected) {
          const stored = await redis.hgetall(key)
          const turned = expected.outcome === 'rotate' || expected.outcome === 'adopt'
          for (const name of ['generation', 'reissues', 'credits', 'clean'] as const) {
            if (Number(stored[name]) !== expected.state[name])
              throw new Error(`${name}: ${stored[name]}, expected ${expected.state[name]}`)
          }
          if (stored.attempts !== expected.state.attempts) throw new Error('attempt differs')
          if ((stored.ended ?? '') !== expected.state.ended) throw new Error('ending differs')
          const drift = Math.abs(Number(stored.rotated_at) - expected.state.rotatedAt)
          if (turned ? drift > 900 : drift !== 0) throw new Error('rotated_at differs')
          state = {
            ...expected.state,
            rotatedAt: Number(stored.rotated_at),
            idleExpiresAt: Number(stored.idle_expires_at),
          }
        }
        if (expected.outcome === 'ended' && 'reason' in actual && actual.reason !== expected.reason)
          throw new Error('reason differs')
      }
      await redis.del(key)
    }),
    { numRuns: 1_500 },
  )
  t.pass('1500 histories')
})

t.test('a merge takes the maximum, and a tombstone wins over any merge', async (t) => {
  const hash = randomBytes(32).toString('base64url')
  const now = await redisNow()
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
  t.equal((await store.rotate(hash, { ...request, presented: 5 }, standing)).outcome, 'cold')
  t.equal(await store.merge(hash, ledger, standing), 'merged')
  t.match(await store.rotate(hash, { ...request, presented: 5 }, standing), {
    outcome: 'rotate',
    generation: 6,
  })
  t.equal(await store.merge(hash, { ...ledger, generation: 3 }, standing), 'merged')
  t.match(await store.rotate(hash, { ...request, presented: 6 }, standing), {
    outcome: 'rotate',
    generation: 7,
  })
  await redis.hset(`rt:{${hash}}`, 'incarnation', 'another')
  if (!incarnation)
    t.equal(
      (await store.rotate(hash, { ...request, presented: 7 }, standing)).outcome,
      'cold',
      'a restarted Redis is not believed',
    )
  await store.bury([{ familyHash: hash, reason: 'logout', absoluteExpiresAt: now + 2 * DAY }])
  t.equal(await store.merge(hash, { ...ledger, generation: 50 }, standing), 'ended')
  t.match(await store.rotate(hash, { ...request, presented: 50 }, standing), {
    outcome: 'ended',
    reason: 'logout',
  })
  const ttl = await redis.pttl(`rt:{${hash}}`)
  t.ok(ttl > DAY && ttl <= 2 * DAY)
})

t.test('nobody rides along on the grace window: five credits, one back for 20 clean turns', async (t) => {
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
  for (let turn = 0; turn < 5; turn += 1) {
    t.equal(take(ask(turn, tick())), 'rotate')
    for (let retry = 0; retry < 10; retry += 1) t.equal(take(ask(turn, now + 10)), 'reissue')
    t.equal(take(ask(turn, now + 10)), 'superseded', 'the eleventh')
  }
  take(ask(5, tick()))
  t.equal(take(ask(5, now)), 'superseded', 'no credit left')
  for (let turn = 6; turn < 27; turn += 1) take(ask(turn, tick()))
  t.equal(take(ask(26, now)), 'reissue', 'one credit came back')
})

// Without it, tap waits for the stores' idle connections before it tears down.
t.end()
