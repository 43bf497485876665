import type { RequestContext } from '../../core/events/events.ts'
import { ONE_TIME_TTL } from '../../core/one-time/one-time.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { LockedUser } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import type { Transaction } from '../../platform/transact.ts'

export type RequestEmailChangeUses = Uses<
  'transact' | 'clock' | 'users' | 'oneTimeTokens' | 'stepUp' | 'mail' | 'links' | 'events'
>

// The same as the limit on mails of one kind: beyond it, the old address would get no notice.
const REQUESTS_PER_HOUR = 10
const HOUR_S = 3_600

/**
 * Mails a link to the new address and a notice to the old one. If the new address has an account, its mail has no
 * link; the caller cannot tell the difference, neither from the response nor from the account's activity.
 * @throws those of `StepUp.require`, `too_many_attempts`.
 */
export async function requestEmailChange(
  uses: RequestEmailChangeUses,
  principal: UserPrincipal,
  { newEmail, proof }: { newEmail: string; proof: StepUpProof },
  context: RequestContext,
): Promise<void> {
  const { transact, stepUp, oneTimeTokens, mail, events, clock } = uses
  const proven = await stepUp.require(principal, proof, context, 'email_change_request')
  await withMinimumDuration(() =>
    transact(async (tx) => {
      const user = await stepUp.lock(tx, proven)
      if (user.email !== proven.email || user.resetRequiredAt) throw new Problem('invalid_credentials')
      if (newEmail !== user.email) await requireBudget(uses, tx, user)
      await oneTimeTokens.revoke(tx, user, 'change_email')
      const event = { type: 'email_change_request', outcome: 'success', userId: user.id } as const
      await events.record(tx, { ...event, sessionId: principal.sessionId }, context)
      // Requesting the current address only cancels an earlier request.
      if (newEmail === user.email) return
      await mailNewAddress(uses, tx, user, newEmail, context)
      const { ip, userAgent } = context
      const data = { newEmail, at: clock.now(), ip, userAgent }
      await mail.enqueue(tx, user, { template: 'email_change_requested', data }, context)
    }),
  )
}

/** Limits how often a user can make this server send mail to strangers. @throws `too_many_attempts`. */
async function requireBudget(
  { clock, events }: RequestEmailChangeUses,
  tx: Transaction,
  user: LockedUser,
): Promise<void> {
  const since = new Date(clock.now() - HOUR_S * 1000)
  const what = { type: 'email_change_request', outcome: 'success' } as const
  if ((await events.countSince(tx, user.id, what, since)) < REQUESTS_PER_HOUR) return
  throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: HOUR_S })
}

async function mailNewAddress(
  uses: RequestEmailChangeUses,
  tx: Transaction,
  user: LockedUser,
  newEmail: string,
  context: RequestContext,
): Promise<void> {
  const { users, oneTimeTokens, mail, events, links } = uses
  const { email: oldEmail } = user
  const holder = await users.findByEmail(tx, newEmail)
  if (holder) {
    await mail.enqueue(tx, holder, { template: 'email_change_taken', data: { oldEmail } })
    // Recorded for the account that has the address, not for the one that asked.
    const event = { type: 'email_change_request', outcome: 'failure', reason: 'address_taken' } as const
    await events.record(tx, { ...event, userId: holder.id }, context)
    return
  }
  const token = await oneTimeTokens.issue(tx, 'change_email', user, newEmail)
  if (!token) throw new Problem('invalid_credentials')
  const data = {
    link: links.confirmEmailChange(token),
    minutes: ONE_TIME_TTL.change_email / 60,
    oldEmail,
  }
  await mail.enqueue(tx, { ...user, email: newEmail }, { template: 'confirm_email_change', data }, context)
}
