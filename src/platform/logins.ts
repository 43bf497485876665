import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { faultOf } from './fault.ts'
import type { Log } from './log.ts'
import { withTimeout } from './timeout.ts'

/** With which user and password a store is entered. They may be replaced while this process runs. */
export interface Logins<Login> {
  /** For the next connection. */
  current(): Login
  /**
   * Whether there is another login by now than the one that the store has refused; never rejects. Others that ask
   * meanwhile wait for the same answer.
   */
  renew(refused: Login): Promise<boolean>
  /** The store has accepted this login: the next one that is refused is read again at once. */
  confirm(accepted: Login): void
}

export interface LoginsOptions<Login> {
  store: string
  initial: Login
  /** Reads the login anew. */
  read(): Promise<Login>
  /** The same, where it takes no time: before each connection. While it throws, the last login is tried. */
  readNow?(): Login
  log: Pick<Log, 'info' | 'warn'>
  /** Milliseconds of a monotonic clock. */
  now?(): number
}

// The store may have the new password a moment before the secret manager has it.
const TRIES_MS = [0, 500, 1_000]
/** Milliseconds for which a connection waits for a login: nobody waits longer for an answer. */
export const HOLD_MS = 5_000
// A password that stays wrong is read again less and less.
const SHORTEST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000
/** Without a refusal for as long, the next one is of another rotation. */
const FORGET_MS = 2 * LONGEST_PAUSE_MS

export function createLogins<Login>(options: LoginsOptions<Login>): Logins<Login> {
  const { store, read, readNow, log, now = () => performance.now() } = options
  let login = options.initial
  let renewal: Promise<void> | undefined
  /** The login was refused, maybe by one server of several. */
  let isRefused = false
  let pauseMs = 0
  let endedAt = Number.NEGATIVE_INFINITY
  let refusedAt = Number.NEGATIVE_INFINITY

  function adopt(next: Login): void {
    if (isDeepStrictEqual(next, login)) return
    login = next
    isRefused = false
    log.info({ event: 'login_replaced', store }, 'a store has a new login')
  }

  function current(): Login {
    try {
      if (readNow) adopt(readNow())
    } catch {
      // The file may be half written. If the last login is refused, the log says what is wrong with the file.
    }
    return login
  }

  async function readUntilOther(refused: Login, triesMs: readonly number[]): Promise<void> {
    try {
      for (const ms of triesMs) {
        await delay(ms)
        adopt(await read())
        if (!isDeepStrictEqual(login, refused)) return
      }
    } catch (error) {
      const fields = { event: 'login_not_read', store, reason: faultOf(error) }
      log.warn(fields, 'the login of a store cannot be read again')
    } finally {
      endedAt = now()
      renewal = undefined
    }
  }

  /** Undefined while the last one was too short a time ago. */
  function beginRenewal(refused: Login): Promise<void> | undefined {
    const at = now()
    // A store that refused a login for a while, and then no more, never says so: the login is the same.
    if (at - refusedAt >= FORGET_MS) pauseMs = 0
    refusedAt = at
    isRefused = true
    if (at - endedAt < pauseMs) return
    const triesMs = pauseMs === 0 ? TRIES_MS : [0]
    pauseMs = Math.min(Math.max(2 * pauseMs, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)
    return readUntilOther(refused, triesMs)
  }

  return {
    current,
    async renew(refused) {
      if (!isDeepStrictEqual(current(), refused)) return true
      renewal ??= beginRenewal(refused)
      if (!renewal) return false
      await withTimeout(HOLD_MS, renewal, 'no login in time').catch(() => {})
      return !isDeepStrictEqual(login, refused)
    },
    confirm(accepted) {
      if (!isRefused && isDeepStrictEqual(accepted, login)) pauseMs = 0
    },
  }
}
