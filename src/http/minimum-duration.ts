import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '../core/problems/problems.ts'

// More than any of these tasks takes on an idle machine, less than a person notices.
const MINIMUM_MS = 200

// Enough that the moment of an answer does not tell apart what led to it.
const JITTER_MS = 100

/** Lets a refusal take at least 200 to 300 milliseconds, by chance. Only the request waits meanwhile. */
export async function withDelayedFailure<T>(task: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await task()
  } catch (error) {
    const rest = MINIMUM_MS + Math.random() * JITTER_MS - (performance.now() - began)
    if (error instanceof Problem && error.status < 429) await delay(Math.max(0, rest))
    throw error
  }
}

/** Runs a task and takes at least 200 milliseconds, so that its duration says nothing of what it found. */
export async function withMinimumDuration<T>(task: () => Promise<T>): Promise<T> {
  const [result] = await Promise.allSettled([task(), delay(MINIMUM_MS)])
  if (result.status === 'rejected') throw result.reason
  return result.value
}
