import { Problem } from './problem.ts'

/** Lets tasks through, a bounded number at once; the others wait in line. @throws `overloaded` when the line is full. */
export interface Gate {
  <T>(task: () => Promise<T>): Promise<T>
  /** How many wait. */
  waiting(): number
}

export function createGate(width: number, maxWaiting: number): Gate {
  const waiting: (() => void)[] = []
  let running = 0
  async function enter<T>(task: () => Promise<T>): Promise<T> {
    if (running >= width) {
      if (waiting.length >= maxWaiting) throw new Problem('overloaded', { retryAfter: 2 })
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await task()
    } finally {
      // The place is handed on, not given back, so that a newcomer cannot slip in between.
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
  return Object.assign(enter, { waiting: () => waiting.length })
}

/** A gate for each key, forgotten once nobody is at it. */
export function createKeyedGate(
  width: number,
  maxWaiting: number,
): <T>(key: string, task: () => Promise<T>) => Promise<T> {
  const gates = new Map<string, { gate: Gate; visitors: number }>()
  return async (key, task) => {
    const entry = gates.get(key) ?? { gate: createGate(width, maxWaiting), visitors: 0 }
    gates.set(key, entry)
    entry.visitors += 1
    try {
      return await entry.gate(task)
    } finally {
      entry.visitors -= 1
      if (entry.visitors === 0) gates.delete(key)
    }
  }
}
