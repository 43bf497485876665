import { createHash } from 'node:crypto'
import type { Clock } from '../../platform/clock.ts'

/** Passwords from known breaches, by the k-anonymity range API: only five hex digits of a hash are sent. */
export interface BreachedPasswords {
  /** Also false when the API is unavailable: its outage must not keep users from choosing a password. */
  has(password: string): Promise<boolean>
}

export interface BreachedPasswordsDeps {
  /** Base URL of the range API; without it no password counts as breached. */
  url: string | undefined
  clock: Clock
  log: { warn(details: object, message: string): void; info(details: object, message: string): void }
}

const ANSWER_MS = 1_000
const ASK_AGAIN_MS = 30_000
// A range has about 2,000 lines, including padding. An answer with none or with more than this is not a range.
const MAX_LINES = 100_000
const SUFFIX = /^[0-9A-F]{35}$/

export function createBreachedPasswords({ url, clock, log }: BreachedPasswordsDeps): BreachedPasswords {
  let unavailable = false
  let askAgainAt = 0

  async function countOf(baseUrl: string, password: string): Promise<number> {
    const hash = createHash('sha1').update(password.normalize('NFC')).digest('hex').toUpperCase()
    // Loaded when first used.
    const { pwnedPasswordRange } = await import('hibp')
    const range = await pwnedPasswordRange(hash.slice(0, 5), {
      baseUrl,
      addPadding: true,
      timeoutMs: ANSWER_MS,
      userAgent: 'ratchet',
    })
    const suffixes = Object.keys(range)
    if (suffixes.length > MAX_LINES || !suffixes.some((suffix) => SUFFIX.test(suffix))) {
      throw new TypeError('the answer is not a range')
    }
    // Padding has a count of zero.
    return range[hash.slice(5)] ?? 0
  }

  return {
    async has(password) {
      if (url === undefined) return false
      if (unavailable && clock.now() < askAgainAt) return false
      // During an outage only one request at a time checks the API and may wait for it.
      askAgainAt = clock.now() + ASK_AGAIN_MS
      try {
        const count = await countOf(url, password)
        if (unavailable) log.info({}, 'breached passwords can be checked online again')
        unavailable = false
        return count > 0
      } catch (error) {
        // The error's message may contain the hash prefix.
        if (!unavailable) {
          const reason = (error as Error).name
          log.warn({ reason }, 'breached passwords cannot be checked online: only the bundled lists are used')
        }
        unavailable = true
        askAgainAt = clock.now() + ASK_AGAIN_MS
        return false
      }
    },
  }
}
