import { LRUCache } from 'lru-cache'
import { presentUser, type User } from '../../http/schemas.ts'
import type { Database } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'

/** A person's own record, remembered for a second: as stale as a revocation may be, and no staler. */
export interface Profiles {
  read(userId: string): User | Promise<User>
  rename(userId: string, name: string): Promise<User>
  forget(userId: string): void
}

const REMEMBERED = 10_000
const REMEMBER_MS = 1_000

/** Both methods throw `access_token_invalid` when the account is gone. */
export function createProfiles(db: Database): Profiles {
  const remembered = new LRUCache<string, User>({ max: REMEMBERED, ttl: REMEMBER_MS })

  async function load(id: string): Promise<User> {
    const row = await db.user.findUnique({ where: { id } })
    if (!row || row.disabledAt) throw new Problem('access_token_invalid')
    const user = presentUser(row)
    remembered.set(id, user)
    return user
  }

  return {
    read: (id) => remembered.get(id) ?? load(id),
    async rename(id, name) {
      const { count } = await db.user.updateMany({ where: { id, disabledAt: null }, data: { name } })
      if (count === 0) throw new Problem('access_token_invalid')
      return load(id)
    },
    forget: (id) => void remembered.delete(id),
  }
}
