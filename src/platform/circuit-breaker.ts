import { setTimeout as delay, setImmediate as turnOfTheLoop } from 'node:timers/promises'

/** A store that is away; its cause says how that was noticed. */
export class StoreUnavailable extends Error {
  /** Which one. */
  readonly store: string
  constructor(store: string, cause?: unknown) {
    super(`${store} is away`, { cause })
    this.name = 'StoreUnavailable'
    this.store = store
  }
}

/** Whether a store answers, known before anybody has to wait for it: a circuit breaker with a pulse. */
export interface Watch {
  /** False as long as nobody watches: then every command is tried. */
  readonly away: boolean
  /** Runs a command of the store's. @throws {StoreUnavailable} at once while it is away, and when the command fails. */
  run<T>(command: () => Promise<T>): Promise<T>
  /** Reports a failed command: nobody else tries until the pulse is felt again. */
  failed(cause: unknown): void
  /** Reports an answer: a store that answers others is not away because a pulse is late. */
  heard(): void
  /** What has to be done with a store that is back before anybody uses it; while it fails, the store stays away. */
  beforeReturn(task: () => Promise<void>): void
  /** Resolves after the first pulse, felt or not. */
  start(): Promise<void>
  stop(): void
}

export interface CircuitBreakerOptions {
  name: string
  /** One command that the store answers only if it can serve. */
  probe(): Promise<unknown>
  /** Told once with every loss, to drop connections that lead nowhere. */
  onLoss?(cause: unknown): void
  log: { warn(details: object, message: string): void; info(details: object, message: string): void }
  /** Milliseconds between two pulses. */
  everyMs?: number
  /** Milliseconds after which a silent store counts as away. With `everyMs`, within a second. */
  timeoutMs?: number
}

// A store that comes back may be slow to greet everybody at once.
const RETURN_MS = 3_000

export function watch(options: CircuitBreakerOptions): Watch {
  const { name, probe, onLoss, log, everyMs = 200, timeoutMs = 700 } = options
  const tasks: (() => Promise<void>)[] = []
  let up = false
  let stopped = true
  let lastHeard = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined

  function failed(cause: unknown): void {
    if (!up || stopped) return
    up = false
    log.warn({ reason: reasonOf(cause) }, `${name} is away`)
    onLoss?.(cause)
  }

  const heard = () => {
    lastHeard = performance.now()
  }

  async function pulse(first = false): Promise<void> {
    const sent = performance.now()
    try {
      await inTime(probe(), up ? timeoutMs : RETURN_MS)
      if (!up) {
        for (const task of tasks) await task()
        up = true
        if (!first) log.info({}, `${name} is back`)
      }
    } catch (cause) {
      if (first) log.warn({ reason: reasonOf(cause) }, `${name} is away`)
      if (!(cause instanceof Late && lastHeard > sent)) failed(cause)
    }
    if (stopped) return
    // Spread, so that nodes do not all knock at the same moment.
    timer = setTimeout(() => void pulse(), up ? everyMs : everyMs * (0.5 + Math.random())).unref()
  }

  return {
    get away() {
      return !up && !stopped
    },
    async run(command) {
      if (!up && !stopped) throw new StoreUnavailable(name)
      try {
        const answer = await command()
        heard()
        return answer
      } catch (cause) {
        if (cause instanceof StoreUnavailable) throw cause
        failed(cause)
        throw new StoreUnavailable(name, cause)
      }
    },
    failed,
    heard,
    beforeReturn: (task) => void tasks.push(task),
    async start() {
      stopped = false
      await pulse(true)
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

class Late extends Error {}

const reasonOf = (cause: unknown) => (cause instanceof Error ? cause.message || cause.name : String(cause))

async function inTime(task: Promise<unknown>, ms: number): Promise<void> {
  const abort = new AbortController()
  const late = delay(ms, undefined, { signal: abort.signal }).then(async () => {
    // After a stall of this process the answer may already wait to be read.
    await turnOfTheLoop()
    await turnOfTheLoop()
    throw new Late(`no answer within ${ms} ms`)
  })
  late.catch(() => {})
  try {
    await Promise.race([task, late])
  } finally {
    abort.abort()
    task.catch(() => {})
  }
}
