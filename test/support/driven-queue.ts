import { setImmediate as nextTurn } from 'node:timers/promises'
import { Overloaded } from '../../src/platform/concurrency-limit.ts'
import { createFairQueue, type FairQueueOptions } from '../../src/platform/fair-queue.ts'
import { deferred } from './deferred.ts'

export type Bounds = Omit<FairQueueOptions, 'clock'>

/** A queue whose tasks end only when the test says so. `log` has their names in the order in which they began. */
export function drivenQueue(bounds: Bounds) {
  let now = 1_000_000_000_000
  const queue = createFairQueue({ ...bounds, clock: { now: () => now } })
  const log: string[] = []
  const running = new Map<string, () => void>()
  const refused: string[] = []
  const outcomes = new Map<string, string>()

  return {
    log,
    running,
    refused,
    outcomes,
    waiting: queue.waiting,
    now: () => now,
    async ask(client: string, name: string): Promise<void> {
      const end = deferred()
      const settle = (outcome: string) => {
        outcomes.set(name, outcomes.has(name) ? 'twice' : outcome)
      }
      const task = async () => {
        log.push(name)
        running.set(name, end.resolve)
        await end.promise
      }
      queue(client, task).then(
        () => settle('done'),
        (error) => {
          settle(error instanceof Overloaded ? 'refused' : `${error}`)
          refused.push(name)
        },
      )
      await nextTurn()
    },
    /** Ends a task, by default the one that began first. */
    async end(name = [...running.keys()][0] as string): Promise<void> {
      running.get(name)?.()
      running.delete(name)
      await nextTurn()
    },
    async drain(): Promise<void> {
      while (running.size > 0) await this.end()
    },
    advance(ms: number): void {
      now += ms
    },
  }
}
