import type { Audit, Origin } from '../../core/events/events.ts'
import { tellOwner } from '../../core/factors/notify-owner.ts'
import type { RecoveryCodes } from '../../core/factors/recovery-codes.ts'
import type { Totp } from '../../core/factors/totp.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

export interface ConfirmTotpDeps {
  db: Database
  totp: Totp
  recoveryCodes: RecoveryCodes
  lockout: Lockout
  outbox: Outbox
  audit: Audit
  clock: Clock
}

/**
 * Turns the enrolled authenticator app on; its answer is ten new recovery codes.
 * @throws `mfa_invalid`, `mfa_already_enabled`, `not_found` (nothing is being enrolled), `too_many_attempts`.
 */
export async function confirmTotp(
  deps: ConfirmTotpDeps,
  { sub: userId, sid: sessionId }: AccessTokenClaims,
  code: string,
  origin: Origin,
): Promise<string[]> {
  const { db, totp, recoveryCodes, lockout, outbox, audit } = deps
  const who = { userId, sessionId }

  const confirm = () =>
    db.$transaction(async (tx) => {
      const [user] = await tx.$queryRaw<{ email: string }[]>`
        SELECT email FROM users WHERE id = ${userId}::uuid AND disabled_at IS NULL FOR UPDATE`
      if (!user) throw new Problem('access_token_invalid')
      if (await totp.enabled(tx, userId)) throw new Problem('mfa_already_enabled')
      const fits = await totp.confirm(tx, userId, code)
      if (fits === null) throw new Problem('not_found')
      if (!fits) return null
      const codes = await recoveryCodes.replace(tx, userId)
      await tellOwner(deps, tx, user.email, 'totp_enabled', origin)
      await audit.record(
        tx,
        [
          { type: 'totp_enable', outcome: 'success', ...who },
          { type: 'recovery_codes_create', outcome: 'success', ...who },
        ],
        origin,
      )
      return codes
    })

  // Whoever guesses this right takes the account's recovery codes, and its owner's way in.
  const what = 'step_up_factor'
  const codes = await lockout.guess({ what, account: userId, owner: userId, origin, device: null }, confirm)
  if (codes) {
    outbox.wake()
    return codes
  }
  await audit.record(db, { type: 'totp_enable', outcome: 'failure', reason: 'wrong_code', ...who }, origin)
  throw new Problem('mfa_invalid')
}
