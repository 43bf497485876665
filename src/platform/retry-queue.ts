import { type Background, type BackgroundMonitor, repeat } from './background.ts'
import { faultOf } from './fault.ts'

/** Tasks that must be done but cannot be done now: each is retried every second until it succeeds. */
export interface RetryQueue extends Background {
  /** If the queue is full, the task is dropped, logged and counted. */
  add(task: () => Promise<void>): void
  /** Tries every task once more. */
  stop(): Promise<void>
}

export interface RetryQueueOptions {
  log: BackgroundMonitor['log']
  metrics: BackgroundMonitor['metrics'] & { countDropped(queue: string): void }
  everyMs?: number
  maxTasks?: number
}

export function createRetryQueue(options: RetryQueueOptions): RetryQueue {
  const { log, metrics, everyMs = 1_000, maxTasks = 1_000 } = options
  // A task stays here while it is tried, so that it counts towards `maxTasks`.
  const tasks = new Set<{ run(): Promise<void> }>()

  async function tryAll(): Promise<void> {
    let failure: unknown
    for (const task of [...tasks]) {
      try {
        await task.run()
        tasks.delete(task)
      } catch (error) {
        failure = error
      }
    }
    if (failure) throw failure
  }

  const loop = repeat({
    task: 'retry_queue',
    everyMs,
    run: tryAll,
    failure: {
      message: 'some tasks failed and will be tried again',
      recovered: 'all tasks are done',
      fields: () => ({ waiting: tasks.size }),
    },
    monitor: { log, metrics },
  })

  return {
    add(run) {
      if (tasks.size < maxTasks) return void tasks.add({ run })
      metrics.countDropped('retry_queue')
      log.error({ queue: 'retry_queue', waiting: tasks.size }, 'the queue is full: a task was dropped')
    },
    tasks: loop.tasks,
    start: loop.start,
    async stop() {
      await loop.stop()
      await tryAll().catch((error: unknown) =>
        log.error({ reason: faultOf(error), waiting: tasks.size }, 'some tasks were never done'),
      )
      tasks.clear()
    },
  }
}
