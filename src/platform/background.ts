import { faultOf } from './fault.ts'
import type { Log } from './log.ts'
import { isStoreUnavailable, StoreUnavailable } from './store-unavailable.ts'

/** Something that runs beside the requests. */
export interface Background {
  start(): void | Promise<void>
  /** Resolves once what is in flight has settled. */
  stop(): Promise<void>
  /** What of it can also be run when somebody asks for it. */
  readonly tasks?: readonly Task[]
}

/** A piece of background work that can be run at any time, started or not. */
export interface Task {
  /** Names the task in logs and metrics. */
  readonly task: string
  /**
   * Runs once more, after any run in flight; callers that ask before it starts share it. A number is how much it did.
   * Rejects if it fails.
   */
  runNow(): Promise<unknown>
  /** Ends the run in flight as soon as it can end; the rest is left to the next run. */
  interrupt(): void
}

export interface RepeatOptions<Done = void> {
  /** Names the task in logs and metrics. */
  task: string
  /** Milliseconds between the end of one run and the start of the next; without it, it runs only when it is told to. */
  everyMs?: number | (() => number)
  /** The share of `everyMs` by which a pause may vary, so that nodes that started together spread out. */
  jitter?: number
  /** Milliseconds until the first run; `everyMs` by default. */
  firstMs?: number
  /** One run; two never overlap. The signal aborts when the task is stopped or interrupted. */
  run(signal: AbortSignal): Promise<Done>
  failure: FailureLog
  monitor: BackgroundMonitor
}

/** How failures in a row are logged: the first, and then one a minute with their number. */
export interface FailureLog {
  message: string
  /** If set, the success that follows them is logged too. */
  recovered?: string
  level?: 'warn' | 'error'
  fields?: () => object
}

/** Where failures are reported. */
export interface BackgroundMonitor {
  log: Log
  metrics: { countBackgroundFailure(task: string): void }
}

export interface Repeating<Done = void> extends Background, Task {
  readonly tasks: readonly Task[]
  /** Whether the last run failed. */
  readonly isFailing: boolean
  start(): void
  /** Runs once more if the task is started. A failure is only reported. */
  wake(): void
  runNow(): Promise<Done>
}

const TELL_AGAIN_MS = 60_000
// Within this time the circuit breaker has noticed an outage, which then has lines of its own.
const UNEXPLAINED_MS = 5_000

/** Runs a task at intervals. A run that fails is logged and counted; the next run tries again. */
export function repeat<Done = void>(options: RepeatOptions<Done>): Repeating<Done> {
  const { task, everyMs, jitter = 0, run, failure, monitor } = options
  let stopping = new AbortController()
  let started = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> = Promise.resolve()
  let queued: Promise<Done> | undefined
  /** The failures in a row, when they began, and when they were last logged. */
  let failures = 0
  let failingSince = 0
  let toldAt: number | undefined

  async function runOnce(): Promise<Done> {
    clearTimeout(timer)
    const { signal } = stopping
    const isLast = signal.aborted
    try {
      const done = await run(signal)
      if (toldAt !== undefined && failure.recovered) monitor.log.info({ task }, failure.recovered)
      failures = 0
      toldAt = undefined
      return done
    } catch (error) {
      // What stopping interrupts has not failed.
      if (isLast || !signal.aborted) report(error)
      throw error
    } finally {
      scheduleNext()
    }
  }

  function report(error: unknown): void {
    const { message, level = 'warn', fields } = failure
    const now = performance.now()
    monitor.metrics.countBackgroundFailure(task)
    failures += 1
    if (failures === 1) failingSince = now
    if (error instanceof StoreUnavailable && error.isKnown) return
    if (isStoreUnavailable(error) && now - failingSince < UNEXPLAINED_MS) return
    if (toldAt !== undefined && now - toldAt < TELL_AGAIN_MS) return
    toldAt = now
    const again = failures > 1 ? { failures } : {}
    monitor.log[level]({ ...fields?.(), task, ...again, reason: faultOf(error) }, message)
  }

  function runNow(): Promise<Done> {
    queued ??= running.then(() => {
      queued = undefined
      const current = runOnce()
      running = current.catch(() => {})
      return current
    })
    return queued
  }

  function wake(): void {
    if (started) void runNow().catch(() => {})
  }

  function schedule(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(wake, ms).unref()
  }

  function scheduleNext(): void {
    if (!started || everyMs === undefined) return
    const ms = typeof everyMs === 'number' ? everyMs : everyMs()
    schedule(ms * (1 + jitter * (2 * Math.random() - 1)))
  }

  const repeating: Repeating<Done> = {
    task,
    get tasks() {
      return [repeating]
    },
    get isFailing() {
      return failures > 0
    },
    runNow,
    wake,
    interrupt() {
      if (stopping.signal.aborted) return
      stopping.abort()
      stopping = new AbortController()
    },
    start() {
      if (started) return
      started = true
      stopping = new AbortController()
      if (options.firstMs === undefined) scheduleNext()
      else schedule(options.firstMs)
    },
    async stop() {
      started = false
      stopping.abort()
      clearTimeout(timer)
      await queued?.catch(() => {})
      await running
    },
  }
  return repeating
}

/**
 * Starts tasks one after the other and stops them together: a task that fails to stop does not hold up the others.
 * @param onCall tasks that are not started, but run when somebody asks for it: they are stopped too.
 */
export function runBackground(
  tasks: readonly Background[],
  log: Log,
  onCall: readonly Background[] = [],
): Background {
  return {
    async start() {
      for (const task of tasks) await task.start()
    },
    async stop() {
      const stops = await Promise.allSettled([...tasks, ...onCall].map(async (task) => task.stop()))
      for (const stop of stops) {
        if (stop.status === 'rejected') log.error({ err: stop.reason }, 'a background task failed to stop')
      }
    },
  }
}
