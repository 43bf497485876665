import { setTimeout as delay } from 'node:timers/promises'

/** What has to be done and cannot be done now: tried every second until it works, or the process ends. */
export interface Later {
  add(task: () => Promise<void>): void
  start(): void
  /** Tries everything once more. */
  stop(): Promise<void>
}

const EVERY_MS = 1_000
// Beyond this something is wrong that no waiting mends.
const MAX_TASKS = 1_000

export function createLater(log: { warn(details: object, message: string): void }): Later {
  const stopping = new AbortController()
  let tasks: (() => Promise<void>)[] = []
  let running: Promise<void> = Promise.resolve()

  async function round(): Promise<void> {
    for (const task of tasks.splice(0)) {
      try {
        await task()
      } catch (error) {
        tasks.push(task)
        log.warn({ reason: (error as Error).message, waiting: tasks.length }, 'will be tried again')
      }
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await round()
      await delay(EVERY_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => {})
    }
  }

  return {
    add(task) {
      if (tasks.length < MAX_TASKS) tasks.push(task)
    },
    start() {
      running = run()
    },
    async stop() {
      stopping.abort()
      await running
      await round()
      tasks = []
    },
  }
}
