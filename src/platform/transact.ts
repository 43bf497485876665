import type { Database, Queryable } from './database.ts'

declare const inTransaction: unique symbol

/** A transaction opened by `transact`: what is written in it holds together, and can have effects after the commit. */
export type Transaction = Queryable & { readonly [inTransaction]: true }

/**
 * Runs `work` as one unit: all of it commits, or none. Effects that were registered inside with {@link afterCommit}
 * run once it has committed, in order; all run even if one fails.
 * @throws what `work` throws, with nothing written; what the first failing effect throws, with everything written.
 */
export type Transact = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>

type Effect = () => void | Promise<void>

const effectsOf = new WeakMap<object, Effect[]>()

export function createTransact(db: Database): Transact {
  return async (work) => {
    const effects: Effect[] = []
    const result = await db.$transaction((tx) => {
      effectsOf.set(tx, effects)
      return work(tx as Transaction)
    })
    await runAll(effects)
    return result
  }
}

/** Registers what has to happen once this transaction has committed, and must not happen if it does not. */
export function afterCommit(tx: Transaction, effect: Effect): void {
  effectsOf.get(tx)?.push(effect)
}

async function runAll(effects: readonly Effect[]): Promise<void> {
  const failures: unknown[] = []
  for (const effect of effects) {
    try {
      await effect()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
