import type { RequestContext } from '../../core/events/events.ts'
import { type AdminUses, type Change, changeAccount, refuse, type Target } from './change-account.ts'

const ADMIN = 'admin'

/** Makes a verified account an administrator's. @throws `not_found`, `email_not_verified`. */
export async function grantAdmin(uses: AdminUses, target: Target, context: RequestContext): Promise<Change> {
  const { db, users } = uses
  const found = await users.find(db, target.userId)
  // The address must be verified. It never becomes unverified again, so no lock is needed.
  if (found && !found.emailVerifiedAt) {
    const refusal = { type: 'role_grant', outcome: 'failure', reason: 'email_not_verified' } as const
    await refuse(uses, refusal, target, context)
  }
  return changeAccount(uses, 'role_grant', target, context, async (tx, user) => {
    const changed = !user.roles.includes(ADMIN)
    if (changed) await users.setRoles(tx, user, [...user.roles, ADMIN], false)
    return { changed, revocations: [] }
  })
}

/** Removes the role and ends the sessions whose access tokens contain it. @throws `not_found`, `revocation_pending`. */
export function revokeAdmin(uses: AdminUses, target: Target, context: RequestContext): Promise<Change> {
  const { users, sessions } = uses
  return changeAccount(uses, 'role_revoke', target, context, async (tx, user) => {
    if (!user.roles.includes(ADMIN)) return { changed: false, revocations: [] }
    const rest = user.roles.filter((role) => role !== ADMIN)
    await users.setRoles(tx, user, rest, true)
    return { changed: true, revocations: await sessions.revoke(tx, { userId: user.id }, 'role_changed') }
  })
}
