import type { RequestContext } from '../../core/events/events.ts'
import { ONE_TIME_TTL } from '../../core/one-time/one-time.ts'
import type { Uses } from '../../core/uses.ts'
import { type AdminUses, type Change, changeAccount, requireOther, type Target } from './change-account.ts'

/**
 * Blocks sign-ins until the password has been reset, ends the sessions and mails a link, once.
 * @throws `not_found`, `own_account`, `revocation_pending` (required; the sessions end within a second).
 */
export async function requirePasswordReset(
  uses: AdminUses & Uses<'oneTimeTokens' | 'links'>,
  target: Target,
  context: RequestContext,
): Promise<Change> {
  const { users, sessions, oneTimeTokens, mail, links } = uses
  await requireOther(uses, 'password_reset_require', target, context)
  return changeAccount(uses, 'password_reset_require', target, context, async (tx, user) => {
    const revocations = await sessions.revoke(tx, { userId: user.id }, 'reset_required')
    if (user.resetRequiredAt) return { changed: false, revocations }
    // This raises the security version, so that a sign-in that has already checked the password cannot finish.
    const required = await users.requireReset(tx, user)
    // A disabled account gets no link; its owner can ask for one once it is enabled.
    const token = await oneTimeTokens.issue(tx, 'reset_password', required)
    if (token) {
      const data = { link: links.resetPassword(token), minutes: ONE_TIME_TTL.reset_password / 60 }
      await mail.enqueue(tx, user, { template: 'reset_required', data })
    }
    return { changed: true, revocations }
  })
}
