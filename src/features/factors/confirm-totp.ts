import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'

export type ConfirmTotpUses = Uses<'db' | 'transact' | 'users' | 'factors' | 'lockout' | 'events'>

/**
 * Turns the enrolled authenticator app on and returns ten new recovery codes.
 * @throws `mfa_invalid`, `mfa_already_enabled`, `not_found` (no enrolment), `too_many_attempts`.
 */
export async function confirmTotp(
  { db, transact, users, factors, lockout, events }: ConfirmTotpUses,
  { userId, sessionId }: UserPrincipal,
  code: string,
  context: RequestContext,
): Promise<string[]> {
  const who = { userId, sessionId }
  const confirm = () =>
    transact(async (tx) => {
      const user = await users.lock(tx, userId)
      if (!user) throw new Problem('access_token_invalid')
      if ((await factors.of(tx, userId)).totp) throw new Problem('mfa_already_enabled')
      const fits = await factors.totp.confirm(tx, user, code)
      if (fits === null) throw new Problem('not_found')
      if (!fits) return null
      const codes = await factors.recoveryCodes.replace(tx, user)
      await factors.notifyOwner(tx, user, 'totp_enabled', context)
      const success = { outcome: 'success', ...who } as const
      await events.record(
        tx,
        [
          { type: 'totp_enable', ...success },
          { type: 'recovery_codes_create', ...success },
        ],
        context,
      )
      return codes
    })
  // A thief who guessed the code would get the recovery codes and lock the owner out.
  const guess = { what: 'step_up_factor', account: userId, owner: userId, context, device: null } as const
  const codes = await lockout.guess(guess, confirm)
  if (codes) return codes
  await events.record(db, { type: 'totp_enable', outcome: 'failure', reason: 'wrong_code', ...who }, context)
  throw new Problem('mfa_invalid')
}
