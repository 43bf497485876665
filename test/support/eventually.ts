import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves once a condition holds. @throws when it does not within `ms` milliseconds. */
export async function eventually(condition: () => Promise<boolean> | boolean, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${condition}`)
    await sleep(20)
  }
}

/** The same as an assertion. */
export async function becomes(
  t: { pass(message: string): unknown },
  condition: () => Promise<boolean> | boolean,
  message: string,
): Promise<void> {
  await eventually(condition)
  t.pass(message)
}
