import type { UsesPlatform } from '../../platform/platform.ts'
import { createLockout, type Lockout } from './guess.ts'
import { createLockNotice, type LockNoticeDeps } from './lock-notice.ts'

export type { Guess, Lockout } from './guess.ts'

/** Caps on guesses at passwords and factors, and the mail that tells an owner about a lock. */
export function openLockout(deps: UsesPlatform<'db' | 'clock'> & LockNoticeDeps): Lockout {
  return createLockout({ ...deps, notice: createLockNotice(deps) })
}
