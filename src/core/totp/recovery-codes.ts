import type { Queryable } from '../../platform/database.ts'

/** Ten codes for the day the other factors are lost: 80 random bits each, stored hashed, good for one use. */
export interface RecoveryCodes {
  /** Ten new ones in place of whatever there was, as `xxxx-xxxx-xxxx-xxxx`; they cannot be shown again. */
  replace(tx: Queryable, userId: string): Promise<string[]>
  /** How many are left. */
  count(db: Queryable, userId: string): Promise<number>
  /** Takes a code, however it is spaced and cased; false when it is none, or taken. */
  use(tx: Queryable, userId: string, code: string): Promise<boolean>
  clear(tx: Queryable, userId: string): Promise<void>
}
