import type { RequestContext } from '../../core/events/events.ts'
import { ONE_TIME_TTL } from '../../core/one-time/one-time.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'

export type RequestPasswordResetUses = Uses<
  'transact' | 'users' | 'registrations' | 'oneTimeTokens' | 'mail' | 'links' | 'events'
>

// Half of what the address gets in an hour, so that no client alone can delay the link that the owner asks for.
const PER_CLIENT_AND_HOUR = 5

/**
 * Mails a link if the address has an account, or has been registered: the password that is chosen with it then makes
 * the account. The caller cannot tell. `email` is canonical.
 */
export async function requestPasswordReset(
  { transact, users, registrations, oneTimeTokens, mail, links, events }: RequestPasswordResetUses,
  email: string,
  context: RequestContext,
): Promise<void> {
  await transact(async (tx) => {
    // Locked by address: no link may go to an address that the account is changing away from.
    const user = await users.tryLockByEmail(tx, email)
    if (user === 'busy') return
    const event = { type: 'password_reset_request', userId: user?.id } as const
    const token = user
      ? await oneTimeTokens.issue(tx, 'reset_password', user)
      : await registrations.issueResetLink(tx, email, context)
    if (!token) {
      const reason = user ? 'disabled' : 'unknown_user'
      return events.record(tx, { ...event, outcome: 'failure', reason }, context)
    }
    const data = {
      link: links.resetPassword(token),
      minutes: ONE_TIME_TTL.reset_password / 60,
      ip: context.ip,
      isNew: !user,
    }
    const { acceptLanguage } = context
    const delayPast = { source: clientKey(context.ip), perHour: PER_CLIENT_AND_HOUR }
    const content = { template: 'reset_password', data } as const
    await mail.enqueue(tx, user ?? { email }, content, { acceptLanguage, delayPast })
    await events.record(tx, { ...event, outcome: 'success' }, context)
  })
}
