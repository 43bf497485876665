import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '../core/problems/problems.ts'
import { Overloaded } from '../platform/concurrency-limit.ts'

// Longer than any of these tasks takes on an idle machine, but too short for a user to notice.
const MINIMUM_MS = 200

// Enough to hide small differences in timing.
const JITTER_MS = 100

/**
 * Delays a refusal until a random 200 to 300 milliseconds have passed. Only this request waits. One by an overloaded
 * server too: a client that tries again at once must not take the processor from the others.
 */
export async function withDelayedFailure<T>(task: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await task()
  } catch (error) {
    const rest = MINIMUM_MS + Math.random() * JITTER_MS - (performance.now() - began)
    const isDelayed = error instanceof Overloaded || (error instanceof Problem && error.status < 429)
    if (isDelayed) await delay(Math.max(0, rest))
    throw error
  }
}

/** Runs a task and takes at least 200 milliseconds, so that the duration does not reveal the result. */
export async function withMinimumDuration<T>(task: () => Promise<T>): Promise<T> {
  const [result] = await Promise.allSettled([task(), delay(MINIMUM_MS)])
  if (result.status === 'rejected') throw result.reason
  return result.value
}
