import { LRUCache } from 'lru-cache'
import type { RequestContext } from '../../core/events/events.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Profile } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { presentUser, type User } from '../../http/schemas.ts'
import { atMost } from '../../platform/at-most.ts'

/** Users' own profiles, cached for a second: the same delay as for a revocation. */
export interface Profiles {
  read(userId: string): User | Promise<User>
  /** Null removes a value; what is left out stays. */
  change(principal: UserPrincipal, profile: Partial<Profile>, context: RequestContext): Promise<User>
  forget(userId: string): void
}

export type ProfilesUses = Uses<'db' | 'transact' | 'users' | 'factors' | 'events'>

const REMEMBERED = 10_000
const REMEMBER_MS = 1_000

/** `read` and `change` throw `access_token_invalid` when the account is gone. */
export function createProfiles({ db, transact, users, factors, events }: ProfilesUses): Profiles {
  const remembered = new LRUCache<string, User>({ ...atMost(REMEMBERED), ttl: REMEMBER_MS })

  async function load(id: string): Promise<User> {
    const [row, owned] = await Promise.all([users.find(db, id), factors.of(db, id)])
    if (!row || row.disabledAt) throw new Problem('access_token_invalid')
    const user = presentUser(row, hasSecondFactor(owned))
    remembered.set(id, user)
    return user
  }

  return {
    read: (id) => remembered.get(id) ?? load(id),
    async change({ userId, sessionId }, profile, context) {
      await transact(async (tx) => {
        if (!(await users.setProfile(tx, userId, profile))) throw new Problem('access_token_invalid')
        await events.record(tx, { type: 'account_update', outcome: 'success', userId, sessionId }, context)
      })
      return load(userId)
    },
    forget: (id) => void remembered.delete(id),
  }
}
