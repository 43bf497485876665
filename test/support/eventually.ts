import { setTimeout as sleep } from 'node:timers/promises'

type Condition = () => Promise<boolean> | boolean

// Not a promise: only how long a failing test waits, on a machine that may be busy.
const PATIENCE_MS = 30_000

/** Resolves once a condition holds. @throws if it does not within `ms` milliseconds. */
export async function eventually(
  condition: Condition,
  ms = PATIENCE_MS,
  what = `${condition}`,
): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(20)
  }
}

/** The same for a condition that may throw until it holds. */
export const until = (what: string, condition: () => Promise<boolean>): Promise<void> =>
  eventually(() => condition().catch(() => false), PATIENCE_MS, what)

/** The same as an assertion. */
export async function becomes(
  t: { pass(message: string): unknown },
  condition: Condition,
  message: string,
): Promise<void> {
  await eventually(condition, PATIENCE_MS, message)
  t.pass(message)
}
