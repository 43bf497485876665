import { faultOf } from './fault.ts'
import type { Log } from './log.ts'

/**
 * Logs the outages of stores: one line when one begins, one a minute while it lasts, one when it ends. What fails because
 * of it is counted in these lines instead of having lines of its own.
 */
export interface Outages {
  begin(store: string, cause: unknown): void
  /** Also called when a store answers for the first time. */
  end(store: string): void
  /** Remembers why a store cannot be reached, for the next line. */
  explain(store: string, cause: unknown): void
  /**
   * Counts a request that was refused with 503. If no outage explains it within seconds, this is logged: once, and once a
   * minute while it goes on.
   */
  countRefused(code: string, cause: unknown): void
  stop(): void
}

export interface OutagesOptions {
  log: Log
  metrics: { setStoreAvailable(store: string, isAvailable: boolean): void }
  /** Milliseconds between two lines about the same thing. */
  everyMs?: number
  /** Milliseconds within which an outage explains a refused request. */
  settleMs?: number
}

interface Outage {
  since: number
  /** Requests that were refused before it. */
  refusedBefore: number
  timer: NodeJS.Timeout
}

interface Refusals {
  requests: number
  cause: unknown
  timer: NodeJS.Timeout
}

// What a command says when there is no connection: why there is none says more.
const VAGUE = new Set(['connection_closed', 'not_connected', 'timeout'])
// A client that cannot connect tries again every second.
const RECENT_MS = 5_000

const ADVICE: Record<string, string> = {
  postgres:
    'check that Postgres runs, can be reached and can write; until then nobody can sign in, and most calls get 503',
  redis:
    'check that Redis runs, can be reached and can write; until then Postgres does its work, and sign-outs get 503',
}
const OVERLOADED = 'too many passwords are checked at once: look for a flood of sign-ins, or add nodes'
const REFUSED =
  'the stores answered some requests too late or not at all: look at their load, locks and connections'

export function createOutages(options: OutagesOptions): Outages {
  const { log, metrics, everyMs = 60_000, settleMs = 5_000 } = options
  const outages = new Map<string, Outage>()
  const reasons = new Map<string, { fault: string; at: number }>()
  const refusals = new Map<string, Refusals>()
  let refused = 0

  function recentReason(store: string): string | undefined {
    const reason = reasons.get(store)
    return reason && performance.now() - reason.at < RECENT_MS ? reason.fault : undefined
  }

  function describe(store: string, { since, refusedBefore }: Outage) {
    const seconds = Math.round((performance.now() - since) / 1000)
    return { store, seconds, refused_requests: refused - refusedBefore }
  }

  function tellOf(code: string, current: Refusals): void {
    const { requests, cause } = current
    if (requests === 0) return void refusals.delete(code)
    const advice = code === 'overloaded' ? OVERLOADED : REFUSED
    log.warn(
      { event: 'requests_refused', code, requests, reason: faultOf(cause), advice },
      'requests are refused',
    )
    current.requests = 0
    current.timer = later(everyMs, () => tellOf(code, current))
  }

  return {
    begin(store, cause) {
      metrics.setStoreAvailable(store, false)
      if (outages.has(store)) return
      for (const [code, { timer }] of refusals) {
        if (!isExplainedByOutage(code)) continue
        clearTimeout(timer)
        refusals.delete(code)
      }
      const event = 'store_unavailable'
      const fault = faultOf(cause)
      const advice = ADVICE[store]
      const timer = setInterval(() => {
        log.error(
          { event, ...describe(store, outage), reason: recentReason(store) ?? fault, advice },
          `${store} is still unavailable`,
        )
      }, everyMs).unref()
      const outage = { since: performance.now(), refusedBefore: refused, timer }
      outages.set(store, outage)
      const reason = VAGUE.has(fault) ? (recentReason(store) ?? fault) : fault
      log.error({ event, store, reason, advice }, `${store} is unavailable`)
    },
    end(store) {
      metrics.setStoreAvailable(store, true)
      const outage = outages.get(store)
      if (!outage) return
      clearInterval(outage.timer)
      outages.delete(store)
      // As visible as its beginning, also where only warnings are kept.
      log.warn({ event: 'store_available', ...describe(store, outage) }, `${store} is available again`)
    },
    explain: (store, cause) => void reasons.set(store, { fault: faultOf(cause), at: performance.now() }),
    countRefused(code, cause) {
      refused += 1
      if (outages.size > 0 && isExplainedByOutage(code)) return
      const current = refusals.get(code)
      if (current) {
        current.requests += 1
        current.cause = cause
      } else {
        const started: Refusals = { requests: 1, cause, timer: later(settleMs, () => tellOf(code, started)) }
        refusals.set(code, started)
      }
    },
    stop() {
      for (const { timer } of outages.values()) clearInterval(timer)
      for (const { timer } of refusals.values()) clearTimeout(timer)
    },
  }
}

const isExplainedByOutage = (code: string) => code !== 'overloaded'

const later = (ms: number, task: () => void) => setTimeout(task, ms).unref()
