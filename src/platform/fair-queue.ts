import type { Clock } from './clock.ts'
import { Overloaded } from './concurrency-limit.ts'

export interface FairQueueOptions {
  clock: Clock
  /** How many tasks run at once. */
  concurrency: number
  maxWaiting: number
  maxWaitingPerClient: number
}

/**
 * Runs a bounded number of tasks at once. A free slot goes to the client that has used the fewest in the last minute,
 * then to the earliest arrival. A full queue makes room for a client that has used less than one that waits.
 */
export interface FairQueue {
  /**
   * @throws {Overloaded} at once if the queue is full, or later if a client that has used less needs the place. Either
   * way the task never runs.
   */
  <T>(client: string, task: () => Promise<T>): Promise<T>
  /** How many tasks wait. */
  waiting(): number
  /** Takes one of its tasks off what a client has used. */
  giveBack(client: string): void
}

interface Waiting {
  client: string
  start(): void
  refuse(error: Overloaded): void
}

interface Ranked {
  task: Waiting
  /** What the client will have used once its earlier tasks have begun. */
  rank: number
}

export function createFairQueue(options: FairQueueOptions): FairQueue {
  const { clock, concurrency, maxWaiting, maxWaitingPerClient } = options
  const usage = createUsage(clock)
  /** In the order of arrival. */
  const waiting: Waiting[] = []
  let running = 0

  async function run<T>(client: string, task: () => Promise<T>): Promise<T> {
    if (running < concurrency) {
      running += 1
      usage.add(client)
    } else {
      await wait(client)
    }
    try {
      return await task()
    } finally {
      const next = takeNext()
      if (next) next.start()
      else running -= 1
    }
  }

  async function wait(client: string): Promise<void> {
    if (waiting.length >= maxWaiting || countOf(client) >= maxWaitingPerClient) makeRoom(client)
    await new Promise<void>((start, refuse) => waiting.push({ client, start, refuse }))
  }

  /** Refuses the task with the highest rank: this one, or the youngest of the client that would use most. */
  function makeRoom(client: string): void {
    const own = countOf(client)
    if (own >= maxWaitingPerClient || waiting.length === 0) throw new Overloaded()
    const last = rankAll().reduce(later)
    // An equal rank is not enough: the task that came first stays.
    if (last.rank <= usage.of(client) + own) throw new Overloaded()
    remove(last.task).refuse(new Overloaded())
  }

  /** The slot passes directly to the next task, so that a new one cannot overtake it. */
  function takeNext(): Waiting | undefined {
    if (waiting.length === 0) return undefined
    const { task } = rankAll().reduce(earlier)
    // Counted now: another slot may become free before the task begins.
    usage.add(task.client)
    return remove(task)
  }

  function rankAll(): Ranked[] {
    const ranks = new Map<string, number>()
    return waiting.map((task) => {
      const rank = ranks.get(task.client) ?? usage.of(task.client)
      ranks.set(task.client, rank + 1)
      return { task, rank }
    })
  }

  function remove(task: Waiting): Waiting {
    waiting.splice(waiting.indexOf(task), 1)
    return task
  }

  const countOf = (client: string) => waiting.filter((task) => task.client === client).length

  return Object.assign(run, { waiting: () => waiting.length, giveBack: usage.giveBack })
}

const earlier = (a: Ranked, b: Ranked) => (b.rank < a.rank ? b : a)
const later = (a: Ranked, b: Ranked) => (b.rank >= a.rank ? b : a)

const HALF_LIFE_MS = 15_000
const FORGOTTEN_AFTER_MS = 60_000
// Above this many, the client that was served least recently is forgotten early.
const MAX_CLIENTS = 10_000

/** How many tasks each client has begun of late: a task counts half after 15 s, nothing after a minute of no use. */
function createUsage(clock: Clock) {
  /** The client that was served least recently comes first. */
  const entries = new Map<string, { amount: number; at: number }>()

  function of(client: string): number {
    const entry = entries.get(client)
    return entry ? entry.amount * weight(clock.now() - entry.at) : 0
  }

  return {
    of,
    giveBack(client: string): void {
      const entry = entries.get(client)
      if (entry) entry.amount = Math.max(0, entry.amount - 1 / weight(clock.now() - entry.at))
    },
    add(client: string): void {
      const amount = of(client) + 1
      entries.delete(client)
      entries.set(client, { amount, at: clock.now() })
      for (const [oldest, { at }] of entries) {
        if (weight(clock.now() - at) > 0 && entries.size <= MAX_CLIENTS) break
        entries.delete(oldest)
      }
    },
  }
}

/** An age below zero means that the clock was set back: what was counted before that is forgotten. */
const weight = (ageMs: number) =>
  ageMs < 0 || ageMs >= FORGOTTEN_AFTER_MS ? 0 : 0.5 ** (ageMs / HALF_LIFE_MS)
