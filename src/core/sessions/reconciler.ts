import type { Watch } from '../../platform/circuit-breaker.ts'
import type { Database } from '../../platform/database.ts'
import { pendingRevocations } from './ledger.ts'
import type { Revocations } from './revocation.ts'
import { markInvalidated, rotatedOnLedger } from './rotation/ledger-store.ts'
import type { RefreshTokenStore } from './rotation/redis-store.ts'

/** Carries to Redis what only the ledger knows: revocations it was not told, families turned without it. */
export interface Reconciler {
  start(): void
  /** Resolves once the run under way is settled. */
  stop(): Promise<void>
}

export interface ReconcilerDeps {
  db: Database
  store: RefreshTokenStore
  revocations: Pick<Revocations, 'replay'>
  redisBreaker: Watch
  log: { warn(details: object, message: string): void }
  intervalMs?: number
}

const BATCH = 1_000

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { db, store, revocations, redisBreaker, log, intervalMs = 700 } = deps
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let stopped = true

  /** Carries everything there is. Every node does this; all of it may be done twice. */
  async function run(): Promise<void> {
    for (let full = true; full; ) {
      const pending = await pendingRevocations(db, BATCH)
      if (pending.length > 0) await revocations.replay(pending)
      const turned = await rotatedOnLedger(db, BATCH)
      if (turned.length > 0) {
        await store.invalidate(turned.map(({ familyHash }) => familyHash))
        await markInvalidated(db, turned)
      }
      full = pending.length === BATCH || turned.length === BATCH
    }
  }

  // Nobody uses a Redis that is back before it has heard what it missed.
  redisBreaker.beforeReturn(run)

  async function round(): Promise<void> {
    if (!redisBreaker.away) {
      await run().catch((error: Error) =>
        log.warn({ reason: error.message }, 'revocations wait to be carried over'),
      )
    }
    if (!stopped) schedule()
  }

  function schedule(): void {
    timer = setTimeout(
      () => {
        running = round()
      },
      intervalMs * (0.7 + Math.random() * 0.6),
    ).unref()
  }

  return {
    start() {
      stopped = false
      schedule()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
