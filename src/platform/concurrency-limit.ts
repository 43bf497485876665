/** Too many tasks are waiting. */
export class Overloaded extends Error {
  /** Seconds until another try makes sense. */
  readonly retryAfter = 2
  constructor() {
    super('too many tasks are waiting')
    this.name = 'Overloaded'
  }
}

/** Runs a bounded number of tasks at once; the others wait in a queue. */
export interface ConcurrencyLimit {
  /** @throws {Overloaded} when the queue is full. */
  <T>(task: () => Promise<T>): Promise<T>
  /** How many tasks wait. */
  waiting(): number
}

export function createConcurrencyLimit(concurrency: number, maxWaiting: number): ConcurrencyLimit {
  const waiting: (() => void)[] = []
  let running = 0

  async function run<T>(task: () => Promise<T>): Promise<T> {
    if (running >= concurrency) {
      if (waiting.length >= maxWaiting) throw new Overloaded()
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await task()
    } finally {
      // The first task in the queue gets the slot directly, so that a new task cannot overtake it.
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }

  return Object.assign(run, { waiting: () => waiting.length })
}

/** One limit for each key; a limit is deleted once no task uses it. */
export function createKeyedConcurrencyLimit(
  concurrency: number,
  maxWaiting: number,
): <T>(key: string, task: () => Promise<T>) => Promise<T> {
  const limits = new Map<string, { run: ConcurrencyLimit; tasks: number }>()
  return async (key, task) => {
    const entry = limits.get(key) ?? { run: createConcurrencyLimit(concurrency, maxWaiting), tasks: 0 }
    limits.set(key, entry)
    entry.tasks += 1
    try {
      return await entry.run(task)
    } finally {
      entry.tasks -= 1
      if (entry.tasks === 0) limits.delete(key)
    }
  }
}
