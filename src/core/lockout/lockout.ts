import type { UsesPlatform } from '../../platform/platform.ts'
import { createKeyAccounts } from './account-key.ts'
import { createLockout, type Lockout } from './guess.ts'
import { createLockNotice, type LockNoticeDeps } from './lock-notice.ts'
import { createRenewKeys, type RenewKeys } from './renew-keys.ts'

export type { AccountKey, AccountKeys } from './account-key.ts'
export type { Counting, CountRow, DeviceStanding } from './counters.ts'
export type { Clearing, Counted, Guess, Lockout } from './guess.ts'
export { type GuessCount, listGuessCounts } from './list.ts'
export { mergeCounters } from './merge-counters.ts'

/** Caps on guesses at passwords and factors, and the mail that tells an owner about a lock. */
export function openLockout(
  deps: UsesPlatform<'query' | 'clock' | 'db' | 'secrets' | 'log' | 'metrics'> & LockNoticeDeps,
): { lockout: Lockout; renewKeys: RenewKeys } {
  const accounts = createKeyAccounts(deps)
  return {
    lockout: createLockout({ ...deps, accounts, notice: createLockNotice(deps) }),
    renewKeys: createRenewKeys({ ...deps, accounts }),
  }
}
