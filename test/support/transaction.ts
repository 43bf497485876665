import type { LockedUser, User } from '../../src/core/users/users.ts'
import type { Queryable } from '../../src/platform/database.ts'
import type { Transaction } from '../../src/platform/transact.ts'

/** For statements that are tested one by one: each commits by itself, and what waits for a commit never happens. */
export const asTransaction = (db: Queryable) => db as Transaction

/** For statements that are tested without the lock that their callers hold. */
export const asLocked = (user: Partial<User> & { id: string }) => user as LockedUser
