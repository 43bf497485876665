import type { Audit, Origin } from '../../core/events/events.ts'
import { hasSecondFactor, listFactors } from '../../core/factors/has-second-factor.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { MIN_LENGTH_WITH_SECOND_FACTOR, type PasswordPolicy } from '../../core/passwords/password-policy.ts'
import type { Passwords } from '../../core/passwords/passwords.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { RefreshTokens } from '../../core/sessions/sessions.ts'
import type { Devices } from '../../core/sign-in/devices.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

export interface ChangePasswordDeps {
  db: Database
  passwords: Passwords
  refreshTokens: RefreshTokens
  outbox: Outbox
  audit: Audit
  clock: Clock
  stepUp: StepUp
  passwordPolicy: PasswordPolicy
  devices: Pick<Devices, 'forget'>
  lockout: Pick<Lockout, 'unlock'>
}

/**
 * Changes the password and ends every other session.
 * @throws `invalid_credentials`, `too_many_attempts`, `password_too_weak`, `revocation_pending` (changed, the revocations follow).
 */
export async function changePassword(
  deps: ChangePasswordDeps,
  session: AccessTokenClaims,
  input: { currentPassword: string; newPassword: string },
  origin: Origin,
): Promise<void> {
  const { db, passwords, refreshTokens, outbox, audit, clock, stepUp, passwordPolicy, devices, lockout } =
    deps
  const user = await stepUp.password(session, input.currentPassword, origin, 'password_change')
  const minLength = (await hasSecondFactor(db, user.id)) ? MIN_LENGTH_WITH_SECOND_FACTOR : undefined
  await passwordPolicy.check(input.newPassword, { email: user.email, minLength })
  const passwordHash = await passwords.hash(input.newPassword)
  const revocations = await db.$transaction(async (tx) => {
    const changed = await tx.user.updateMany({
      where: { id: user.id, securityVersion: user.securityVersion },
      data: { passwordHash, securityVersion: { increment: 1 } },
    })
    if (changed.count === 0) throw new Problem('invalid_credentials')
    // The factor that let a short one pass may be gone by now; its removal takes the same lock.
    if (!(await hasSecondFactor(tx, user.id))) passwordPolicy.checkLength(input.newPassword)
    await tx.oneTimeToken.deleteMany({ where: { userId: user.id } })
    await devices.forget(tx, user.id)
    // Guesses at the old password say nothing of the new one, and no device is spared their lock now.
    await lockout.unlock(tx, { email: user.email })
    await outbox.enqueue(tx, user.email, {
      template: 'password_changed',
      data: { at: clock.now(), ip: origin.ip, factors: await listFactors(tx, user.id) },
    })
    await audit.record(
      tx,
      { type: 'password_change', outcome: 'success', userId: user.id, sessionId: session.sid },
      origin,
    )
    return refreshTokens.record(tx, { userId: user.id, exceptSessionId: session.sid }, 'password_changed')
  })
  outbox.wake()
  await refreshTokens.propagate(revocations)
}
