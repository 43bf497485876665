import { createHash } from 'node:crypto'
import { pwnedPasswordRange } from 'hibp'
import type { Clock } from '../../platform/clock.ts'

/** Passwords that stand in known breaches, by the k-anonymity range API: only five hex digits of a hash leave. */
export interface BreachedPasswords {
  /** False also when nobody can say: an outage of somebody else's must not keep people out. */
  has(password: string): Promise<boolean>
}

export interface BreachedPasswordsDeps {
  /** Base of the range API; undefined asks nobody. */
  url: string | undefined
  clock: Clock
  log: { warn(details: object, message: string): void; info(details: object, message: string): void }
}

const ANSWER_MS = 1_000
const ASK_AGAIN_MS = 30_000
// A range has about 2,000 lines, padding included; what has none, or a hundred thousand, is no range.
const MAX_LINES = 100_000
const SUFFIX = /^[0-9A-F]{35}$/

export function createBreachedPasswords({ url, clock, log }: BreachedPasswordsDeps): BreachedPasswords {
  let away = false
  let askAgainAt = 0

  async function countOf(baseUrl: string, password: string): Promise<number> {
    const hash = createHash('sha1').update(password.normalize('NFC')).digest('hex').toUpperCase()
    const range = await pwnedPasswordRange(hash.slice(0, 5), {
      baseUrl,
      addPadding: true,
      timeoutMs: ANSWER_MS,
      userAgent: 'ratchet',
    })
    const suffixes = Object.keys(range)
    if (suffixes.length > MAX_LINES || !suffixes.some((suffix) => SUFFIX.test(suffix))) {
      throw new TypeError('the answer is no range')
    }
    // Padding counts zero.
    return range[hash.slice(5)] ?? 0
  }

  return {
    async has(password) {
      if (url === undefined) return false
      if (away && clock.now() < askAgainAt) return false
      // During an outage one request finds out for all; it alone can wait a second.
      askAgainAt = clock.now() + ASK_AGAIN_MS
      try {
        const count = await countOf(url, password)
        if (away) log.info({}, 'breached passwords are known again')
        away = false
        return count > 0
      } catch (error) {
        // The error's message may name what was asked.
        if (!away)
          log.warn({ reason: (error as Error).name }, 'breached passwords: asking only the bundled list')
        away = true
        askAgainAt = clock.now() + ASK_AGAIN_MS
        return false
      }
    },
  }
}
