import { type Background, type BackgroundMonitor, repeat } from './background.ts'

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
  let tasks: (() => Promise<void>)[] = []

  async function tryAll(): Promise<void> {
    let failure: unknown
    for (const task of tasks.splice(0)) {
      try {
        await task()
      } catch (error) {
        tasks.push(task)
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
      message: 'some queued tasks failed and will be retried',
      recovered: 'all queued tasks are done',
    },
    monitor: { log, metrics },
  })

  return {
    add(task) {
      if (tasks.length < maxTasks) return void tasks.push(task)
      metrics.countDropped('retry_queue')
      log.error(
        { queue: 'retry_queue', waiting: tasks.length },
        'the retry queue is full: a task was dropped',
      )
    },
    start: loop.start,
    async stop() {
      await loop.stop()
      await tryAll().catch((error: Error) =>
        log.error(
          { reason: error.message, waiting: tasks.length },
          'some queued tasks were not done before the stop',
        ),
      )
      tasks = []
    },
  }
}
