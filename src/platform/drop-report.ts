import type { Log } from './log.ts'

/** Says that a full queue loses what is added to it: each loss is counted, the log tells of the first and of the end. */
export interface DropReport {
  dropped(count?: number): void
  /** The queue has room again. */
  end(): void
}

export function createDropReport(
  queue: string,
  { log, metrics }: { log: Log; metrics: { countDropped(queue: string): void } },
): DropReport {
  let lost = 0
  return {
    dropped(count = 1) {
      if (count > 0 && lost === 0) log.error({ queue }, 'the queue is full: what is added now is lost')
      for (let index = 0; index < count; index += 1) metrics.countDropped(queue)
      lost += count
    },
    end() {
      if (lost > 0) log.error({ queue, lost }, 'the queue has room again')
      lost = 0
    },
  }
}
