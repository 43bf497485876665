import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { type BackgroundMonitor, repeat } from './background.ts'
import type { Outages } from './outages.ts'
import { STORE_TIMEOUT_MS, StoreUnavailable } from './store-unavailable.ts'

export { StoreUnavailable }

/** Where outages are reported. */
export interface StoreMonitor extends BackgroundMonitor {
  outages: Pick<Outages, 'begin' | 'end' | 'explain'>
}

/** Checks by a heartbeat whether a store answers, so that no request waits for a store that does not. */
export interface CircuitBreaker {
  /** True while the store is unavailable. False before `start` and after `stop`: every command is tried then. */
  readonly isOpen: boolean
  /** Runs a command. @throws {StoreUnavailable} at once while the breaker is open, and when the command fails. */
  run<T>(command: () => Promise<T>): Promise<T>
  /** Opens the breaker: no command is tried until a heartbeat succeeds. */
  recordFailure(cause: unknown): void
  /** Reports an answer: a store that answers commands is not unavailable because a heartbeat is late. */
  recordSuccess(): void
  /** A task that has to succeed before the breaker closes again; while it fails, the breaker stays open. */
  beforeClosing(task: () => Promise<void>): void
  /** Resolves after the first heartbeat, whether it succeeded or not. */
  start(): Promise<void>
  stop(): Promise<void>
}

export interface CircuitBreakerOptions {
  /** The store's name. */
  name: string
  /** One command that the store answers only if it can serve. */
  probe(): Promise<unknown>
  /** Called each time the breaker opens, to drop connections that no longer work. */
  onOpen?(cause: unknown): void
  /** Whether a failed command was refused by a store that is alive. By default none is. */
  isRefusal?(cause: unknown): boolean
  monitor: StoreMonitor
  /** Milliseconds between two heartbeats. */
  everyMs?: number
  /** Milliseconds after which a silent store counts as unavailable. With `everyMs`, within a second by default. */
  timeoutMs?: number
}

// A store that comes back may be slow while every client reconnects at once.
const CLOSING_TIMEOUT_MS = 3_000
// Heartbeats cannot ask for all that commands need. A store that refuses these again and again is tried less and less.
const FIRST_HOLD_MS = 1_000
const LONGEST_HOLD_MS = 30_000

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { name, probe, onOpen, isRefusal, monitor, everyMs = 200, timeoutMs = STORE_TIMEOUT_MS } = options
  const { outages } = monitor
  const tasks: (() => Promise<void>)[] = []
  let closed = false
  let started = false
  let lastAnswer = Number.NEGATIVE_INFINITY
  /** An outage was reported, and its end was not yet; undefined until the store has been tried. */
  let isReported: boolean | undefined
  let closedAt = 0
  let holdMs = 0
  let heldUntil = 0

  function open(cause: unknown): void {
    closed = false
    report(cause)
    onOpen?.(cause)
  }

  function report(cause: unknown): void {
    // A lost connection can turn out to be a missing right: the next line about the outage says the latest cause.
    if (isReported) outages.explain(name, cause)
    else outages.begin(name, cause)
    isReported = true
  }

  function recordFailure(cause: unknown): void {
    if (!closed || !started) return
    if (isRefusal?.(cause)) {
      holdMs = isReported && holdMs > 0 ? Math.min(2 * holdMs, LONGEST_HOLD_MS) : FIRST_HOLD_MS
      heldUntil = performance.now() + holdMs
    } else holdMs = 0
    open(cause)
  }

  /** After refusals an outage is over only once commands have not been refused for a while. */
  function reportEnd(): void {
    if (isReported === false) return
    if (isReported && holdMs > 0 && performance.now() - closedAt < LONGEST_HOLD_MS) return
    isReported = false
    outages.end(name)
  }

  async function beat(signal: AbortSignal): Promise<void> {
    if (!closed && performance.now() < heldUntil) return
    const sent = performance.now()
    try {
      await answered(probe(), closed ? timeoutMs : Math.max(timeoutMs, CLOSING_TIMEOUT_MS), signal)
      if (!closed) {
        for (const task of tasks) await task()
        closed = true
        closedAt = performance.now()
      }
      reportEnd()
    } catch (cause) {
      if (cause instanceof NoAnswer && lastAnswer > sent) return
      // The heartbeat notices this itself, and so its end.
      holdMs = 0
      if (closed && started) open(cause)
      else if (!signal.aborted) report(cause)
    }
  }

  const heartbeat = repeat({
    task: `${name}_heartbeat`,
    // Spread while the store is unavailable, so that the nodes do not all reconnect at the same moment.
    everyMs: () => (closed ? everyMs : everyMs * (0.5 + Math.random())),
    run: beat,
    failure: { message: `the heartbeat of ${name} failed` },
    monitor,
  })

  return {
    get isOpen() {
      return !closed && started
    },
    async run(command) {
      if (!closed && started) throw new StoreUnavailable(name)
      try {
        const answer = await command()
        lastAnswer = performance.now()
        return answer
      } catch (cause) {
        if (cause instanceof StoreUnavailable) throw cause
        recordFailure(cause)
        throw new StoreUnavailable(name, cause)
      }
    },
    recordFailure,
    recordSuccess() {
      lastAnswer = performance.now()
    },
    beforeClosing: (task) => void tasks.push(task),
    async start() {
      started = true
      // Started first, so that a stop meanwhile ends it.
      heartbeat.start()
      await heartbeat.runNow()
    },
    async stop() {
      started = false
      await heartbeat.stop()
    },
  }
}

class NoAnswer extends Error {}

/** @throws {NoAnswer} after `ms` milliseconds, or when the breaker is stopped. */
async function answered(task: Promise<unknown>, ms: number, stopped: AbortSignal): Promise<void> {
  const settled = new AbortController()
  const settle = () => settled.abort()
  // Not AbortSignal.any: on Node 20 each of its signals stays with the one that lives as long as the breaker.
  stopped.addEventListener('abort', settle, { once: true })
  const timeout = delay(ms, undefined, { signal: settled.signal, ref: false })
    .catch(() => {})
    .then(async () => {
      // After a stall of this process the answer may already wait to be read.
      await nextTurn()
      await nextTurn()
      throw new NoAnswer(`no answer within ${ms} ms`)
    })
  timeout.catch(() => {})
  task.catch(() => {})
  try {
    await Promise.race([task, timeout])
  } finally {
    stopped.removeEventListener('abort', settle)
    settled.abort()
  }
}
