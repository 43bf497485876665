import { ClientError } from './client-error.ts'

const AHEAD_SECONDS = 60
const LONGEST_PAUSE_SECONDS = 60
// What a timer can hold; a longer one would fire at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1

export interface Renewals {
  /** Whether a token is missing or about to expire. */
  isDue(): boolean
  renew(): Promise<void>
  /** The page is shown again as the browser has kept it: it has not heard what other tabs told meanwhile. */
  restored(): void
}

/** Renews shortly before the token expires, when the page or the network is back, and after failures with pauses. */
export function scheduleRenewal({ isDue, renew, restored }: Renewals) {
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0

  /** Seconds before its end at which a token of this lifetime is renewed. */
  const ahead = (lifetime: number) => Math.min(AHEAD_SECONDS, lifetime / 4)

  function after(seconds: number): void {
    clearTimeout(timer)
    timer = setTimeout(check, Math.min(seconds * 1_000, LONGEST_TIMER_MS))
    // Node would wait for it before it ends.
    ;(timer as { unref?(): void }).unref?.()
  }

  function again(error?: unknown): void {
    failures += 1
    const named = error instanceof ClientError ? error.retryAfter : undefined
    after(named ?? Math.min(2 ** (failures - 1), LONGEST_PAUSE_SECONDS) * (0.75 + Math.random() / 2))
  }

  function check(): void {
    // A hidden page needs no token before it is shown again.
    if (globalThis.document?.visibilityState === 'hidden' || !isDue()) return
    renew().catch((error) => {
      if (isDue()) again(error)
    })
  }

  function notice(event: Event): void {
    if ((event as PageTransitionEvent).persisted) restored()
    check()
  }

  // That of the document bubbles up to here. React Native has a `window` without events.
  const page = globalThis.window
  const events = ['visibilitychange', 'online', 'pageshow', 'focus']
  for (const event of events) page?.addEventListener?.(event, notice)

  return {
    ahead,
    again,
    check,
    next(lifetime: number): void {
      failures = 0
      after(lifetime - ahead(lifetime))
    },
    stop: () => clearTimeout(timer),
    close(): void {
      for (const event of events) page?.removeEventListener?.(event, notice)
    },
  }
}
