import type { Origin } from '../../core/events/events.ts'
import { type Change, type ChangeAccountDeps, changeAccount, refuse, type Target } from './change-account.ts'

const ADMIN = 'admin'

/** Makes a verified account an administrator's. @throws `not_found`, `email_not_verified`. */
export async function grantAdmin(deps: ChangeAccountDeps, target: Target, origin: Origin): Promise<Change> {
  const { db } = deps
  const user = await db.user.findUnique({ where: { id: target.userId } })
  // Whoever registered an address they cannot read must not rule. What is verified stays so: no lock is needed.
  if (user && !user.emailVerifiedAt) await refuse(deps, 'role_grant', target, 'email_not_verified', origin)
  return changeAccount(deps, 'role_grant', target, origin, async (tx, { id, roles }) => {
    const changed = !roles.includes(ADMIN)
    if (changed) await tx.user.update({ where: { id }, data: { roles: [...roles, ADMIN] } })
    return { changed, revocations: [] }
  })
}

/** Takes the role away, and ends the sessions whose access tokens claim it. @throws `not_found`, `revocation_pending`. */
export async function revokeAdmin(deps: ChangeAccountDeps, target: Target, origin: Origin): Promise<Change> {
  const { refreshTokens } = deps
  const done = await changeAccount(deps, 'role_revoke', target, origin, async (tx, { id, roles }) => {
    if (!roles.includes(ADMIN)) return { changed: false, revocations: [] }
    // A sign-in under way would still claim the role: the version keeps it from finishing.
    const rest = { roles: roles.filter((role) => role !== ADMIN), securityVersion: { increment: 1 } }
    await tx.user.update({ where: { id }, data: rest })
    return { changed: true, revocations: await refreshTokens.record(tx, { userId: id }, 'role_changed') }
  })
  await refreshTokens.propagate(done.revocations)
  return done
}
