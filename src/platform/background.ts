import { faultOf } from './fault.ts'
import type { Log } from './log.ts'
import { isStoreUnavailable, StoreUnavailable } from './store-unavailable.ts'

/** Something that runs beside the requests. */
export interface Background {
  start(): void | Promise<void>
  /** Resolves once what is in flight has settled. */
  stop(): Promise<void>
}

export interface RepeatOptions {
  /** Names the task in logs and metrics. */
  task: string
  /** Milliseconds between the end of one run and the start of the next; without it, it runs only when it is told to. */
  everyMs?: number | (() => number)
  /** The share of `everyMs` by which a pause may vary, so that nodes that started together spread out. */
  jitter?: number
  /** Milliseconds until the first run; `everyMs` by default. */
  firstMs?: number
  /** One run; two never overlap. The signal aborts when the task is stopped. */
  run(signal: AbortSignal): Promise<void>
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

export interface Repeating extends Background {
  /** Whether the last run failed. */
  readonly isFailing: boolean
  start(): void
  /** Runs once more if the task is started. A failure is only reported. */
  wake(): void
  /** Runs once more, after any run in flight; callers that ask before it starts share it. Rejects if it fails. */
  runNow(): Promise<void>
}

const TELL_AGAIN_MS = 60_000
// Within this time the circuit breaker has noticed an outage, which then has lines of its own.
const UNEXPLAINED_MS = 5_000

/** Runs a task at intervals. A run that fails is logged and counted; the next run tries again. */
export function repeat(options: RepeatOptions): Repeating {
  const { task, everyMs, jitter = 0, run, failure, monitor } = options
  let stopping = new AbortController()
  let started = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let queued: Promise<void> | undefined
  /** The failures in a row, when they began, and when they were last logged. */
  let failures = 0
  let failingSince = 0
  let toldAt: number | undefined

  async function runOnce(): Promise<void> {
    clearTimeout(timer)
    const { signal } = stopping
    const isLast = signal.aborted
    try {
      await run(signal)
      if (toldAt !== undefined && failure.recovered) monitor.log.info({ task }, failure.recovered)
      failures = 0
      toldAt = undefined
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

  function runNow(): Promise<void> {
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

  return {
    get isFailing() {
      return failures > 0
    },
    runNow,
    wake,
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
}

/** Starts tasks one after the other and stops them together: a task that fails to stop does not hold up the others. */
export function runBackground(tasks: readonly Background[], log: Log): Background {
  return {
    async start() {
      for (const task of tasks) await task.start()
    },
    async stop() {
      const stops = await Promise.allSettled(tasks.map(async (task) => task.stop()))
      for (const stop of stops) {
        if (stop.status === 'rejected') log.error({ err: stop.reason }, 'a background task failed to stop')
      }
    },
  }
}
