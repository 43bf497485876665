import type { AccessTokenClaims } from '../../core/access-tokens/access-tokens.ts'
import type { Audit, Origin } from '../../core/audit/audit.ts'
import type { PasswordPolicy } from '../../core/credentials/password-policy.ts'
import type { Outbox } from '../../core/mail/outbox.ts'
import type { Passkeys } from '../../core/passkeys/passkeys.ts'
import type { FactorProof } from '../../core/second-factor/second-factors.ts'
import { tellOwner } from '../../core/second-factor/tell-owner.ts'
import { lockUser } from '../../core/step-up/lock-user.ts'
import type { StepUp } from '../../core/step-up/step-up.ts'
import type { RecoveryCodes } from '../../core/totp/recovery-codes.ts'
import type { Totp } from '../../core/totp/totp.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'

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
