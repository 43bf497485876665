import type { Database, Queryable } from './database.ts'

declare const inTransaction: unique symbol

/** A transaction opened by `transact`, which can also register effects to run after its commit. */
export type Transaction = Queryable & { readonly [inTransaction]: true }

/**
 * Runs `work` in one transaction. Effects that it registered with {@link afterCommit} run in order once the
 * transaction has committed; all of them run even if one fails.
 * @throws what `work` throws, and nothing is written; or what the first failing effect throws, after the commit.
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

/** Whether `transact` opened it, so that effects can be registered. */
export const isTransaction = (db: Queryable): db is Transaction => effectsOf.has(db)

/** Registers an effect that runs once this transaction has committed, and only then. */
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
