/** How long a message is retried after it was due, in milliseconds. */
export const GIVE_UP_AFTER_MS = 24 * 3_600_000

/** Milliseconds until the next attempt, by the number of failures; the last delay repeats. */
const DELAYS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000] as const
const LONGEST_MS = 3_600_000

/**
 * Milliseconds to wait after the `attempts`-th failure (counted from 1), varied at random by up to a fifth, so that a
 * recovering provider does not receive every waiting message at once. At most an hour.
 */
export function retryDelay(attempts: number, random: () => number = Math.random): number {
  const delay = DELAYS[Math.max(attempts, 1) - 1] ?? LONGEST_MS
  return Math.min(LONGEST_MS, Math.round(delay * (0.8 + 0.4 * random())))
}

/** Describes an error in one line without addresses and links, so that it can be stored and logged. */
export function describeFailure(error: unknown): string {
  const text = error instanceof Error ? error.message : 'unknown error'
  return text
    .replace(/\b[a-z]+:\/\/\S+/gi, '[link]')
    .replace(/\S+@\S+/g, '[address]')
    .replace(/\s+/g, ' ')
    .slice(0, 200)
}
