import type { Origin } from '../../core/events/events.ts'
import {
  type Change,
  type ChangeAccountDeps,
  changeAccount,
  requireOther,
  type Target,
} from './change-account.ts'

/**
 * Disables an account and ends its sessions.
 * @throws `not_found`, `own_account`, `revocation_pending` (disabled, the revocations follow).
 */
export async function disableUser(deps: ChangeAccountDeps, target: Target, origin: Origin): Promise<Change> {
  const { refreshTokens, clock } = deps
  const { userId } = target
  await requireOther(deps, 'account_disable', target, origin)
  const done = await changeAccount(deps, 'account_disable', target, origin, async (tx, user) => {
    const changed = user.disabledAt === null
    if (changed) {
      // What is under way, links and tickets, must not come back to life with the account.
      await tx.oneTimeToken.deleteMany({ where: { userId } })
      await tx.user.update({
        where: { id: userId },
        data: { disabledAt: new Date(clock.now()), securityVersion: { increment: 1 } },
      })
    }
    return { changed, revocations: await refreshTokens.record(tx, { userId }, 'account_disabled') }
  })
  await refreshTokens.propagate(done.revocations)
  return done
}

/** Enables an account again; what has ended stays ended. @throws `not_found`. */
export function enableUser(deps: ChangeAccountDeps, target: Target, origin: Origin): Promise<Change> {
  return changeAccount(deps, 'account_enable', target, origin, async (tx, user) => {
    if (!user.disabledAt) return { changed: false, revocations: [] }
    await tx.user.update({ where: { id: target.userId }, data: { disabledAt: null } })
    return { changed: true, revocations: [] }
  })
}
