import type { Audit, Origin } from '../../core/events/events.ts'
import type { FactorProof } from '../../core/factors/factors.ts'
import { tellOwner } from '../../core/factors/notify-owner.ts'
import type { Passkeys } from '../../core/factors/passkeys/passkeys.ts'
import type { RecoveryCodes } from '../../core/factors/recovery-codes.ts'
import type { Totp } from '../../core/factors/totp.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import type { PasswordPolicy } from '../../core/passwords/password-policy.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import { lockUser } from '../../core/users/users.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

export interface DisableTotpDeps {
  db: Database
  stepUp: StepUp
  passwordPolicy: Pick<PasswordPolicy, 'checkLength'>
  totp: Totp
  recoveryCodes: RecoveryCodes
  passkeys: Pick<Passkeys, 'count'>
  outbox: Outbox
  audit: Audit
  clock: Clock
}

/**
 * Turns the authenticator app off; with the last factor the recovery codes go.
 * @throws `not_found` without one, `password_too_weak` (the last factor, and a password that needs one), and what a step-up throws.
 */
export async function disableTotp(
  deps: DisableTotpDeps,
  session: AccessTokenClaims,
  proof: { password: string } & FactorProof,
  origin: Origin,
): Promise<void> {
  const { db, stepUp, passwordPolicy, totp, recoveryCodes, passkeys, outbox, audit } = deps
  if (!(await totp.enabled(db, session.sub))) throw new Problem('not_found')
  if ((await passkeys.count(db, session.sub)) === 0) passwordPolicy.checkLength(proof.password)
  const user = await stepUp.require(session, proof, origin, 'totp_disable')
  await db.$transaction(async (tx) => {
    await lockUser(tx, user)
    if (!(await totp.disable(tx, user.id))) throw new Problem('not_found')
    if ((await passkeys.count(tx, user.id)) === 0) {
      // The last one after all: the passkey went a moment ago.
      passwordPolicy.checkLength(proof.password)
      await recoveryCodes.clear(tx, user.id)
    }
    await tellOwner(deps, tx, user.email, 'totp_disabled', origin)
    await audit.record(
      tx,
      { type: 'totp_disable', outcome: 'success', userId: user.id, sessionId: session.sid },
      origin,
    )
  })
  outbox.wake()
}
