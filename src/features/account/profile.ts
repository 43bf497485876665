import { LRUCache } from 'lru-cache'
import type { Audit, Origin } from '../../core/events/events.ts'
import { HAS_SECOND_FACTOR } from '../../core/factors/has-second-factor.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import { presentUser, type User, type UserRow } from '../../http/schemas.ts'
import type { Database } from '../../platform/database.ts'

/** A person's own record, remembered for a second: as stale as a revocation may be, and no staler. */
export interface Profiles {
  read(userId: string): User | Promise<User>
  rename(session: AccessTokenClaims, name: string, origin: Origin): Promise<User>
  forget(userId: string): void
}

type Row = UserRow & { mfaEnabled: boolean }

const REMEMBERED = 10_000
const REMEMBER_MS = 1_000

/** Both methods throw `access_token_invalid` when the account is gone. */
export function createProfiles(db: Database, audit: Audit): Profiles {
  const remembered = new LRUCache<string, User>({ max: REMEMBERED, ttl: REMEMBER_MS })

  async function load(id: string): Promise<User> {
    const [row] = await db.$queryRaw<Row[]>`
      SELECT u.id, email, email_verified_at AS "emailVerifiedAt", name, roles, created_at AS "createdAt",
        updated_at AS "updatedAt", ${HAS_SECOND_FACTOR} AS "mfaEnabled"
      FROM users u WHERE u.id = ${id}::uuid AND disabled_at IS NULL`
    if (!row) throw new Problem('access_token_invalid')
    const user = presentUser(row, row.mfaEnabled)
    remembered.set(id, user)
    return user
  }

  return {
    read: (id) => remembered.get(id) ?? load(id),
    async rename({ sub: id, sid: sessionId }, name, origin) {
      await db.$transaction(async (tx) => {
        const { count } = await tx.user.updateMany({ where: { id, disabledAt: null }, data: { name } })
        if (count === 0) throw new Problem('access_token_invalid')
        await audit.record(tx, { type: 'account_update', outcome: 'success', userId: id, sessionId }, origin)
      })
      return load(id)
    },
    forget: (id) => void remembered.delete(id),
  }
}
