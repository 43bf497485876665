import { setTimeout as delay } from 'node:timers/promises'

// More than any of these tasks takes on an idle machine, less than a person notices.
const STEADY_MS = 200

/** Runs a task and takes at least 200 milliseconds, so that its duration says nothing of what it found. */
export async function steady<T>(task: () => Promise<T>): Promise<T> {
  const [result] = await Promise.allSettled([task(), delay(STEADY_MS)])
  if (result.status === 'rejected') throw result.reason
  return result.value
}
