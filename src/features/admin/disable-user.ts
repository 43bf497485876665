import type { RequestContext } from '../../core/events/events.ts'
import type { Uses } from '../../core/uses.ts'
import { type AdminUses, type Change, changeAccount, requireOther, type Target } from './change-account.ts'

/**
 * Disables an account and ends its sessions.
 * @throws `not_found`, `own_account`, `revocation_pending` (disabled; its sessions end within a second).
 */
export async function disableUser(
  uses: AdminUses & Uses<'oneTimeTokens'>,
  target: Target,
  context: RequestContext,
): Promise<Change> {
  const { users, sessions, oneTimeTokens } = uses
  await requireOther(uses, 'account_disable', target, context)
  return changeAccount(uses, 'account_disable', target, context, async (tx, user) => {
    const changed = user.disabledAt === null
    if (changed) {
      // Links and tickets that are still valid must not work again when the account is enabled.
      await oneTimeTokens.revoke(tx, user)
      await users.disable(tx, user)
    }
    return { changed, revocations: await sessions.revoke(tx, { userId: user.id }, 'account_disabled') }
  })
}

/** Enables an account again. Its ended sessions stay ended. @throws `not_found`. */
export function enableUser(uses: AdminUses, target: Target, context: RequestContext): Promise<Change> {
  return changeAccount(uses, 'account_enable', target, context, async (tx, user) => {
    const changed = user.disabledAt !== null
    if (changed) await uses.users.enable(tx, user)
    return { changed, revocations: [] }
  })
}
