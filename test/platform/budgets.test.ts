import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import {
  type Answer,
  type BudgetStore,
  createBudgets,
  createMemoryBudgets,
  createRedisBudgets,
  type Point,
} from '../../src/platform/budgets.ts'
import { StoreUnavailable } from '../../src/platform/circuit-breaker.ts'
import type { RedisBreaker } from '../../src/platform/redis-breaker.ts'
import { eventually } from '../support/eventually.ts'
import { check } from '../support/property.ts'
import { redisUrl } from '../support/redis.ts'
import { twenty } from '../support/server.ts'

const redis = new Redis(redisUrl)
t.teardown(() => redis.disconnect())
const redisBreaker = { run: <T>(command: () => Promise<T>) => command() } as unknown as RedisBreaker
const shared = createRedisBudgets({ redis, redisBreaker })
const stores = { redis, redisBreaker }

let keys = 0
const freshKey = () => {
  keys += 1
  return `test:${process.pid}:${keys}`
}
const MINUTE = (points: number) => ({ points, seconds: 60 })
const isPoint = (answer: object): answer is Point => 'giveBack' in answer

type Step = { do: 'take'; spend: boolean } | { do: 'settle'; which: number; isSpent: boolean }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('take' as const), spend: fc.boolean() }),
  fc.record({ do: fc.constant('settle' as const), which: fc.nat(20), isSpent: fc.boolean() }),
)

/** What a store answers, with the rule it has to follow counted beside it. */
async function run(store: BudgetStore, points: number, steps: readonly Step[]) {
  const key = freshKey()
  const open: Extract<Answer, { outcome: 'taken' }>[] = []
  const seen: string[] = []
  let spent = 0
  for (const each of steps) {
    if (each.do === 'settle') {
      const [point] = open.splice(each.which % Math.max(1, open.length), 1)
      if (!point) continue
      await store.settle(key, point.window, each.isSpent)
      if (each.isSpent) spent += 1
      continue
    }
    const answer = await store.take(key, MINUTE(points), each.spend)
    const expected = spent >= points ? 'spent' : spent + open.length >= points ? 'busy' : 'taken'
    if (answer.outcome !== expected) throw new Error(`${answer.outcome} instead of ${expected}`)
    if (answer.outcome === 'taken') {
      if (answer.remaining !== points - spent - open.length - 1) throw new Error('a wrong remainder')
      if (each.spend) spent += 1
      else open.push(answer)
    }
    seen.push(answer.outcome)
  }
  return seen
}

t.test('both stores follow one rule, whatever is taken, spent and given back', async (t) => {
  await check(
    t,
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.array(step, { maxLength: 40 }),
      async (points, steps) => {
        const inRedis = await run(shared, points, steps)
        const inMemory = await run(createMemoryBudgets(), points, steps)
        if (inRedis.join() !== inMemory.join()) throw new Error('the stores differ')
      },
    ),
    {},
  )
})

t.test('20 parallel takers get no more points than there are', async (t) => {
  for (const store of [shared, createMemoryBudgets()]) {
    const key = freshKey()
    const answers = await twenty(() => store.take(key, MINUTE(7), true))
    t.equal(answers.filter(({ outcome }) => outcome === 'taken').length, 7)
  }
})

t.test('a point is not given back to a later life of its budget', async (t) => {
  let now = 0
  const later = () => {
    now += 60_001
  }
  const memory = createMemoryBudgets(() => now)
  const key = freshKey()
  for (const [store, expire] of [
    [memory, async () => later()],
    [shared, async () => void (await redis.del(`budget:${key}`))],
  ] as const) {
    const old = await store.take(key, MINUTE(1), false)
    await expire()
    t.equal((await store.take(key, MINUTE(1), true)).outcome, 'taken')
    await store.settle(key, (old as { window: string }).window, false)
    t.equal((await store.take(key, MINUTE(1), true)).outcome, 'spent')
  }
})

t.test('who finds all points taken waits until one is given back or all are spent', async (t) => {
  let asked = 0
  const watched: BudgetStore = {
    settle: shared.settle,
    async take(...given) {
      const answer = await shared.take(...given)
      asked += 1
      return answer
    },
  }
  const budgets = createBudgets(stores, [watched, createMemoryBudgets()])
  for (const isSpent of [false, true]) {
    asked = 0
    const key = freshKey()
    const first = await budgets.take(key, MINUTE(1), { spend: false })
    if (!isPoint(first)) throw new Error('the first point was refused')
    let settled = false
    const second = budgets.take(key, MINUTE(1), { spend: true }).then((answer) => {
      t.ok(settled, 'not before')
      return answer
    })
    await eventually(() => asked >= 3)
    settled = true
    if (isSpent) first.spend()
    else first.giveBack()
    t.equal(isPoint(await second), !isSpent)
  }
})

t.test('a point is settled once', async (t) => {
  const budgets = createBudgets(stores)
  const key = freshKey()
  const [one, two] = [
    await budgets.take(key, MINUTE(2), { spend: false }),
    await budgets.take(key, MINUTE(2), { spend: true }),
  ]
  if (!isPoint(one) || !isPoint(two)) throw new Error('a point was refused')
  one.giveBack()
  one.giveBack()
  one.spend()
  t.ok(isPoint(await budgets.take(key, MINUTE(2), { spend: true })))
  t.notOk(isPoint(await budgets.take(key, MINUTE(2), { spend: true })))
})

t.test(
  'without Redis budgets are counted in memory, and a point goes back to where it came from',
  async (t) => {
    let isDown = true
    const flaky: BudgetStore = {
      take: (...given) => (isDown ? Promise.reject(new StoreUnavailable('redis')) : shared.take(...given)),
      settle: (...given) => shared.settle(...given),
    }
    const budgets = createBudgets(stores, [flaky, createMemoryBudgets()])
    const key = freshKey()
    const point = await budgets.take(key, MINUTE(1), { spend: false })
    if (!isPoint(point)) throw new Error('the point was refused')
    isDown = false
    t.ok(isPoint(await budgets.take(key, MINUTE(1), { spend: true })))
    point.giveBack()
    isDown = true
    t.ok(isPoint(await budgets.take(key, MINUTE(1), { spend: true })), 'memory has it back')
    isDown = false
    t.notOk(isPoint(await budgets.take(key, MINUTE(1), { spend: true })), 'Redis has not gained one')
  },
)

t.test('a budget that is spent needs no store to refuse', async (t) => {
  let asked = 0
  const watched: BudgetStore = {
    settle: shared.settle,
    take(...given) {
      asked += 1
      return shared.take(...given)
    },
  }
  const budgets = createBudgets(stores, [watched, createMemoryBudgets()])
  const key = freshKey()
  for (let turn = 0; turn < 5; turn += 1) await budgets.take(key, MINUTE(2), { spend: true })
  t.equal(asked, 3)
  t.ok(isPoint(await budgets.take(freshKey(), MINUTE(2), { spend: true })), 'another one is not affected')
})

t.test('an error of the store itself is not hidden', async (t) => {
  const broken: BudgetStore = {
    take: () => Promise.reject(new Error('a fault')),
    settle: async () => {},
  }
  await t.rejects(
    createBudgets(stores, [broken, createMemoryBudgets()]).take(freshKey(), MINUTE(1), { spend: true }),
    {
      message: 'a fault',
    },
  )
})

t.test('of more budgets than memory keeps, the one that was used longest ago is forgotten', async (t) => {
  const memory = createMemoryBudgets()
  const once = { points: 1, seconds: 60 }
  for (let index = 0; index <= 100_000; index += 1) await memory.take(`key-${index}`, once, true)
  t.match(await memory.take('key-100000', once, true), { outcome: 'spent' })
  t.match(await memory.take('key-0', once, true), { outcome: 'taken' })
})
