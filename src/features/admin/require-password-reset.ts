import type { Origin } from '../../core/events/events.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import type { Links } from '../../http/links.ts'
import {
  type Change,
  type ChangeAccountDeps,
  changeAccount,
  requireOther,
  type Target,
} from './change-account.ts'

export interface RequirePasswordResetDeps extends ChangeAccountDeps {
  outbox: Pick<Outbox, 'enqueue' | 'wake'>
  oneTimeTokens: OneTimeTokens
  links: Links
}

/**
 * Lets nobody sign in until the password has been reset, ends the sessions and mails a link, once.
 * @throws `not_found`, `own_account`, `revocation_pending` (required, the revocations follow).
 */
export async function requirePasswordReset(
  deps: RequirePasswordResetDeps,
  target: Target,
  origin: Origin,
): Promise<Change> {
  const { refreshTokens, outbox, oneTimeTokens, links, clock } = deps
  const { userId } = target
  await requireOther(deps, 'password_reset_require', target, origin)
  const done = await changeAccount(deps, 'password_reset_require', target, origin, async (tx, user) => {
    const revocations = await refreshTokens.record(tx, { userId }, 'reset_required')
    if (user.resetRequiredAt) return { changed: false, revocations }
    // A sign-in that has checked the password already must not finish: hence the version.
    const data = { resetRequiredAt: new Date(clock.now()), securityVersion: { increment: 1 } }
    await tx.user.update({ where: { id: userId }, data })
    // None while the account is disabled: its owner asks for a link once it is enabled.
    const token = await oneTimeTokens.issue(tx, 'reset_password', userId)
    if (token) {
      const minutes = ONE_TIME_TTL.reset_password / 60
      const data = { link: links.resetPassword(token), minutes }
      await outbox.enqueue(tx, user.email, { template: 'reset_required', data })
    }
    return { changed: true, revocations }
  })
  outbox.wake()
  await refreshTokens.propagate(done.revocations)
  return done
}
