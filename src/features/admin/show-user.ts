import type { Static } from 'typebox'
import type { RequestContext } from '../../core/events/events.ts'
import { findSuppression } from '../../core/mail/mail.ts'
import { readMetadata } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { type AccountDetail, presentAccount } from './account.ts'
import { type AdminUses, refuse, type Target } from './change-account.ts'

/** One account: its state, sessions and factors. @throws `not_found`. */
export async function showUser(
  uses: AdminUses & {
    factors: Pick<Uses<'factors'>['factors'], 'ofAll'>
    factorResets: Pick<Uses<'factorResets'>['factorResets'], 'pending'>
  },
  target: Target,
  context: RequestContext,
): Promise<Static<typeof AccountDetail>> {
  const { transact, clock, users, sessions, factors, factorResets, events } = uses
  const { userId } = target
  const now = new Date(clock.now())
  const shown = await transact(async (tx) => {
    const user = await users.find(tx, userId)
    if (!user) return null
    const { live, lastSignInAt } = await sessions.summarize(tx, userId, now)
    const owned = (await factors.ofAll(tx, [userId])).get(userId)
    const reset = (await factorResets.pending(tx, [userId])).get(userId)
    const mail = (await findSuppression(tx, user.email)) ?? null
    await events.record(tx, { type: 'account_view', outcome: 'success', ...target }, context)
    return {
      ...presentAccount(user, owned, reset),
      live_sessions: live,
      last_sign_in_at: lastSignInAt?.toISOString() ?? null,
      factors: {
        totp: owned?.totp ?? false,
        passkeys: owned?.passkeys ?? 0,
        recovery_codes: owned?.recoveryCodes ?? 0,
      },
      mail,
      metadata: (await readMetadata(tx, [userId])).get(userId) ?? null,
    }
  })
  return (
    shown ?? refuse(uses, { type: 'account_view', outcome: 'failure', reason: 'not_found' }, target, context)
  )
}
