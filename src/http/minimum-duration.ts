import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '../core/problems/problems.ts'

// More than any of these tasks takes on an idle machine, less than a person notices.
const STEADY_MS = 200

// Enough that the moment of an answer does not tell apart what led to it.
const JITTER_MS = 100

/** Lets a refusal take at least 200 to 300 milliseconds, by chance. Nothing is held meanwhile but the request. */
export async function slowRefusal<T>(task: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await task()
  } catch (error) {
    const rest = STEADY_MS + Math.random() * JITTER_MS - (performance.now() - began)
    if (error instanceof Problem && error.statusCode < 429) await delay(Math.max(0, rest))
    throw error
  }
}

/** Runs a task and takes at least 200 milliseconds, so that its duration says nothing of what it found. */
export async function steady<T>(task: () => Promise<T>): Promise<T> {
  const [result] = await Promise.allSettled([task(), delay(STEADY_MS)])
  if (result.status === 'rejected') throw result.reason
  return result.value
}
