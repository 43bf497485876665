import { randomInt } from 'node:crypto'
import fc from 'fast-check'

/** Checks a property over random runs. The printed seed repeats the same runs: `FC_SEED=… npm test -- …`. */
export async function check<T>(
  t: { comment(text: string): void },
  property: fc.IAsyncProperty<T>,
  parameters: fc.Parameters<T>,
): Promise<void> {
  const seed = process.env.FC_SEED ? Number(process.env.FC_SEED) : randomInt(2 ** 31)
  const path = process.env.FC_PATH
  t.comment(`seed ${seed}`)
  await fc.assert(property, { ...parameters, seed, ...(path ? { path } : {}) })
}
