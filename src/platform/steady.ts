import { setTimeout as delay } from 'node:timers/promises'

/** Runs a task and takes at least `ms` milliseconds, so that its duration says nothing of what it found. */
export async function steady<T>(ms: number, task: () => Promise<T>): Promise<T> {
  const [result] = await Promise.allSettled([task(), delay(ms)])
  if (result.status === 'rejected') throw result.reason
  return result.value
}
