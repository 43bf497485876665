import { type Background, repeat, type Task } from '../../../platform/background.ts'
import { createDropReport } from '../../../platform/drop-report.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import { type Rotation, writeFreeRotations } from './rotations.ts'

export interface WriteBehind extends Background {
  readonly tasks: readonly Task[]
  add(rotation: Rotation): void
  /**
   * Writes everything added so far; rotations of sessions that another transaction holds are kept for the next time.
   * Rejects, and keeps everything, when the ledger cannot be written.
   */
  flush(): Promise<void>
  /** Flushes once more. */
  stop(): Promise<void>
}

export interface WriteBehindOptions extends UsesPlatform<'db' | 'log' | 'metrics'> {
  /** Milliseconds between two writes: with Redis, up to so much of its latest rotations may be lost. */
  intervalMs: number
}

const RETRY_MS = 500
// A dropped rotation is only a lower bound: the family is fast-forwarded by the client's next token.
const MAX_PENDING = 100_000

/** Writes rotations to the ledger in batches. A process that is killed loses only lower bounds of generations. */
export function createWriteBehind({ intervalMs, ...deps }: WriteBehindOptions): WriteBehind {
  const { db } = deps
  const full = createDropReport('write_behind', deps)
  let pending = new Map<string, Rotation>()

  function add(rotation: Rotation): void {
    const known = pending.get(rotation.familyHash)
    if (known && known.generation > rotation.generation) return
    // A re-issue changes only the credits.
    if (known?.generation === rotation.generation)
      rotation.credits = Math.min(rotation.credits, known.credits)
    if (!known && pending.size >= MAX_PENDING) full.dropped()
    else pending.set(rotation.familyHash, rotation)
  }

  async function write(): Promise<void> {
    if (pending.size === 0) return
    const batch = pending
    pending = new Map()
    // The same order on all nodes, so that two batches cannot deadlock.
    const rows = [...batch.values()].sort((a, b) => (a.familyHash < b.familyHash ? -1 : 1))
    try {
      for (let at = 0; at < rows.length; at += 1_000) {
        for (const held of await writeFreeRotations(db, rows.slice(at, at + 1_000))) add(held)
      }
    } catch (error) {
      for (const rotation of batch.values()) add(rotation)
      throw error
    }
    full.end()
  }

  const writer = repeat({
    task: 'write_behind',
    // With 0 only for what could not be written with its answer.
    everyMs: intervalMs || RETRY_MS,
    run: write,
    failure: {
      message: 'the ledger is behind',
      recovered: 'the ledger is up to date again',
      fields: () => ({ pending: pending.size }),
    },
    monitor: deps,
  })

  return {
    add,
    tasks: writer.tasks,
    flush: writer.runNow,
    start: writer.start,
    async stop() {
      await writer.stop()
      await write()
    },
  }
}
