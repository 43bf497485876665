import { setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { atMost } from './at-most.ts'
import { StoreUnavailable } from './circuit-breaker.ts'
import type { UsesPlatform } from './platform.ts'

/** How many points may be spent within a time that begins with the first of them. */
export interface Budget {
  points: number
  seconds: number
}

/** A point of a budget. Taken, it counts until it is given back, so that parallel requests cannot spend more. */
export interface Point {
  /** Points that are left. */
  remaining: number
  /** Milliseconds until the budget is whole again. */
  resetsInMs: number
  /** Spends it for good: until then others may wait for it. */
  spend(): void
  /** Gives it back, unless the budget is whole again by now. */
  giveBack(): void
}

export interface Refused {
  /** Milliseconds until another try makes sense. */
  waitMs: number
}

/** Budgets by key. They are counted in Redis, or in memory while Redis is unavailable. */
export interface Budgets {
  /**
   * Takes a point, which is spent at once with `spend`. Where all points are taken and some may be given back, it
   * waits for those.
   */
  take(key: string, budget: Budget, options: { spend: boolean }): Promise<Point | Refused>
}

/** `window` names one life of a budget: a point is given back only to the one from which it was taken. */
export type Answer =
  | { outcome: 'taken'; leftMs: number; remaining: number; window: string }
  | { outcome: 'spent' | 'busy'; leftMs: number }

/** Where budgets are counted. */
export interface BudgetStore {
  take(key: string, budget: Budget, spend: boolean): Promise<Answer>
  settle(key: string, window: string, isSpent: boolean): Promise<unknown>
}

// KEYS: the budget. ARGV: points, milliseconds, '1' to spend the point at once. Returns outcome, milliseconds left,
// and for a point that was taken: points left, window.
const TAKE = `
local points = tonumber(ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  local time = redis.call('TIME')
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'window', time[1] .. '.' .. time[2], 'taken', 0, 'spent', 0)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  left = tonumber(ARGV[2])
end
local found = redis.call('HMGET', KEYS[1], 'window', 'taken', 'spent')
local taken = tonumber(found[2])
if tonumber(found[3]) >= points then return { 'spent', left } end
if taken >= points then return { 'busy', left } end
redis.call('HINCRBY', KEYS[1], 'taken', 1)
if ARGV[3] == '1' then redis.call('HINCRBY', KEYS[1], 'spent', 1) end
return { 'taken', left, points - taken - 1, found[1] }
`
// KEYS: the budget. ARGV: window, '1' for a point that is spent and '0' for one that is given back.
const SETTLE = `
if redis.call('HGET', KEYS[1], 'window') ~= ARGV[1] then return end
if ARGV[2] == '1' then redis.call('HINCRBY', KEYS[1], 'spent', 1)
else redis.call('HINCRBY', KEYS[1], 'taken', -1) end
`

interface Scripts {
  budgetTake(
    key: string,
    ...args: (string | number)[]
  ): Promise<[outcome: 'taken' | 'spent' | 'busy', leftMs: number, remaining?: number, window?: string]>
  budgetSettle(key: string, ...args: string[]): Promise<unknown>
}

export function createRedisBudgets({
  redis,
  redisBreaker,
}: UsesPlatform<'redis' | 'redisBreaker'>): BudgetStore {
  redis.defineCommand('budgetTake', { numberOfKeys: 1, lua: TAKE })
  redis.defineCommand('budgetSettle', { numberOfKeys: 1, lua: SETTLE })
  const scripts = redis as unknown as Scripts
  const keyOf = (key: string) => `budget:${key}`
  return {
    async take(key, { points, seconds }, spend) {
      const args = [points, seconds * 1000, spend ? '1' : '0']
      const answer = await redisBreaker.run(() => scripts.budgetTake(keyOf(key), ...args))
      const [outcome, leftMs, remaining = 0, window = ''] = answer
      return outcome === 'taken' ? { outcome, leftMs, remaining, window } : { outcome, leftMs }
    },
    settle: (key, window, isSpent) =>
      redisBreaker.run(() => scripts.budgetSettle(keyOf(key), window, isSpent ? '1' : '0')),
  }
}

// Beyond it, the budget that was used longest ago is forgotten.
const MANY = atMost(100_000)

export function createMemoryBudgets(now: () => number = () => performance.now()): BudgetStore {
  const counts = new LRUCache<string, { window: string; taken: number; spent: number; endsAt: number }>(MANY)
  let windows = 0
  return {
    async take(key, { points, seconds }, spend) {
      let count = counts.get(key)
      if (!count || count.endsAt <= now()) {
        windows += 1
        count = { window: String(windows), taken: 0, spent: 0, endsAt: now() + seconds * 1000 }
        counts.set(key, count)
      }
      const leftMs = count.endsAt - now()
      if (count.spent >= points) return { outcome: 'spent', leftMs }
      if (count.taken >= points) return { outcome: 'busy', leftMs }
      count.taken += 1
      if (spend) count.spent += 1
      return { outcome: 'taken', leftMs, remaining: points - count.taken, window: count.window }
    },
    async settle(key, window, isSpent) {
      const count = counts.get(key)
      if (count?.window !== window || count.endsAt <= now()) return
      if (isSpent) count.spent += 1
      else count.taken -= 1
    },
  }
}

const FIRST_WAIT_MS = 20
const LONGEST_WAIT_MS = 250
// Longer than passwords wait for their turn. A point that a crashed node has taken is not given back.
const PATIENCE_MS = 15_000
const MAX_WAITING = 1_000
const BUSY_RETRY_MS = 2_000

export function createBudgets(
  stores: UsesPlatform<'redis' | 'redisBreaker'>,
  [shared, memory]: readonly [BudgetStore, BudgetStore] = [createRedisBudgets(stores), createMemoryBudgets()],
): Budgets {
  const waiting = new Map<string, number>()
  // Spent points do not come back, so what is spent needs no store until it is whole again.
  const spentUntil = new LRUCache<string, number>(MANY)

  /** The store is remembered with the point, which has to be given back to the same. */
  async function ask(key: string, budget: Budget, spend: boolean): Promise<[Answer, BudgetStore]> {
    try {
      return [await shared.take(key, budget, spend), shared]
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      return [await memory.take(key, budget, spend), memory]
    }
  }

  async function wait(key: string, ms: number): Promise<void> {
    waiting.set(key, (waiting.get(key) ?? 0) + 1)
    await delay(ms * (0.75 + Math.random() / 2))
    const left = (waiting.get(key) ?? 1) - 1
    if (left === 0) waiting.delete(key)
    else waiting.set(key, left)
  }

  return {
    async take(key, budget, { spend }) {
      const began = performance.now()
      const spentMs = (spentUntil.get(key) ?? 0) - began
      if (spentMs > 0) return { waitMs: spentMs }
      for (let ms = FIRST_WAIT_MS; ; ms = Math.min(2 * ms, LONGEST_WAIT_MS)) {
        const [answer, store] = await ask(key, budget, spend)
        if (answer.outcome === 'taken') return pointOf(answer, store, key)
        if (answer.outcome === 'spent') {
          spentUntil.set(key, performance.now() + answer.leftMs)
          return { waitMs: answer.leftMs }
        }
        if (performance.now() > began + PATIENCE_MS || (waiting.get(key) ?? 0) >= MAX_WAITING) {
          return { waitMs: Math.min(answer.leftMs, BUSY_RETRY_MS) }
        }
        await wait(key, ms)
      }
    },
  }
}

function pointOf(
  { remaining, leftMs, window }: Extract<Answer, { outcome: 'taken' }>,
  store: BudgetStore,
  key: string,
): Point {
  let isSettled = false
  // Not waited for. If it fails, the point stays taken until the budget is whole again.
  const settle = (isSpent: boolean) => {
    if (isSettled) return
    isSettled = true
    void store.settle(key, window, isSpent).catch(() => {})
  }
  return { remaining, resetsInMs: leftMs, spend: () => settle(true), giveBack: () => settle(false) }
}
