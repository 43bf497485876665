import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves once a condition holds. @throws when it does not within `ms` milliseconds. */
export async function eventually(condition: () => Promise<boolean> | boolean, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${condition}`)
    await sleep(20)
  }
}
