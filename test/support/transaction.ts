import type { LockedUser, User } from '../../src/core/users/users.ts'
import type { Queryable } from '../../src/platform/database.ts'
import type { Transaction } from '../../src/platform/transact.ts'

/** For testing single statements: each commits by itself, and after-commit effects never run. */
export const asTransaction = (db: Queryable) => db as Transaction

/** For testing statements without the lock that their callers hold. */
export const asLocked = (user: Partial<User> & { id: string }) => user as LockedUser
