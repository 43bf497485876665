import { type Background, repeat } from '../../platform/background.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Revocations } from './revocation.ts'
import { hasPendingRevocations, pendingRevocations } from './revocation-rows.ts'
import { hasRotatedOnLedger, markInvalidated, rotatedOnLedger } from './rotation/ledger-store.ts'
import type { RefreshTokenStore } from './rotation/redis-store.ts'

export interface ReconcilerDeps extends UsesPlatform<'db' | 'poll' | 'redisBreaker' | 'log' | 'metrics'> {
  store: Pick<RefreshTokenStore, 'invalidate'>
  revocations: Pick<Revocations, 'replay'>
}

const BATCH = 1_000

/**
 * Updates Redis from the ledger: revocations that did not reach Redis, and families rotated without it. It runs when the
 * poll finds any.
 */
export function createReconciler(deps: ReconcilerDeps): Background {
  const { db, poll, store, revocations, redisBreaker } = deps

  /** Runs until nothing is pending. Every node does this; doing it twice is harmless. */
  async function reconcile(): Promise<void> {
    for (let full = true; full; ) {
      const pending = await pendingRevocations(db, BATCH)
      if (pending.length > 0) await revocations.replay(pending)
      const rotated = await rotatedOnLedger(db, BATCH)
      if (rotated.length > 0) {
        await store.invalidate(rotated.map(({ familyHash }) => familyHash))
        await markInvalidated(db, rotated)
      }
      full = pending.length === BATCH || rotated.length === BATCH
    }
  }

  // Redis is not used again before it has received what it missed.
  redisBreaker.beforeClosing(reconcile)

  const reconciler = repeat({
    task: 'reconciler',
    run: reconcile,
    failure: {
      message: 'Redis could not be updated from the ledger',
      recovered: 'Redis was updated from the ledger',
    },
    monitor: deps,
  })
  poll.ask<boolean>({
    task: 'reconciler',
    sql: () => Prisma.sql`(${hasPendingRevocations} OR ${hasRotatedOnLedger})`,
    answer(isNeeded) {
      if (!redisBreaker.isOpen && (isNeeded || reconciler.isFailing)) reconciler.wake()
    },
  })
  return reconciler
}
