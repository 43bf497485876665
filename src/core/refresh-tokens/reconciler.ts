import type { Database } from '../../platform/database.ts'
import type { Watch } from '../../platform/watch.ts'
import type { Endings } from './endings.ts'
import { pendingEndings } from './ledger.ts'
import { markCooled, turnedOnLedger } from './ledger-family.ts'
import type { RefreshTokenStore } from './redis-store.ts'

/** Carries to Redis what only the ledger knows: endings it was not told, families turned without it. */
export interface Reconciler {
  start(): void
  /** Resolves once the run under way is settled. */
  stop(): Promise<void>
}

export interface ReconcilerDeps {
  db: Database
  store: RefreshTokenStore
  endings: Pick<Endings, 'carry'>
  redisWatch: Watch
  log: { warn(details: object, message: string): void }
  intervalMs?: number
}

const BATCH = 1_000

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { db, store, endings, redisWatch, log, intervalMs = 700 } = deps
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let stopped = true

  /** Carries everything there is. Every node does this; all of it may be done twice. */
  async function run(): Promise<void> {
    for (let full = true; full; ) {
      const pending = await pendingEndings(db, BATCH)
      if (pending.length > 0) await endings.carry(pending)
      const turned = await turnedOnLedger(db, BATCH)
      if (turned.length > 0) {
        await store.cool(turned.map(({ familyHash }) => familyHash))
        await markCooled(db, turned)
      }
      full = pending.length === BATCH || turned.length === BATCH
    }
  }

  // Nobody uses a Redis that is back before it has heard what it missed.
  redisWatch.beforeReturn(run)

  async function round(): Promise<void> {
    if (!redisWatch.away) {
      await run().catch((error: Error) =>
        log.warn({ reason: error.message }, 'endings wait to be carried over'),
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
