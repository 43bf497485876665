import type { RequestContext } from '../../core/events/events.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'

export type ChangePasswordUses = Uses<
  | 'db'
  | 'transact'
  | 'clock'
  | 'users'
  | 'sessions'
  | 'factors'
  | 'passwords'
  | 'passwordPolicy'
  | 'oneTimeTokens'
  | 'lockout'
  | 'devices'
  | 'stepUp'
  | 'mail'
  | 'events'
>

/**
 * Changes the password and ends every other session.
 * @throws `invalid_credentials`, `too_many_attempts`, `password_too_weak`, `revocation_pending` (changed; the sessions
 * end within a second).
 */
export async function changePassword(
  uses: ChangePasswordUses,
  principal: UserPrincipal,
  input: { currentPassword: string; newPassword: string },
  context: RequestContext,
): Promise<void> {
  const { db, transact, clock, users, sessions, factors, passwords, passwordPolicy, stepUp, mail, events } =
    uses
  const { userId, sessionId } = principal
  const user = await stepUp.password(principal, input.currentPassword, context, 'password_change')
  await passwordPolicy.check(input.newPassword, {
    email: user.email,
    hasSecondFactor: hasSecondFactor(await factors.of(db, userId)),
  })
  const passwordHash = await passwords.hash(input.newPassword, clientKey(context.ip))

  await transact(async (tx) => {
    const locked = await stepUp.lock(tx, user)
    const owned = await factors.of(tx, userId)
    // The factor that allowed a short password may have been removed since; removing it takes the same lock.
    if (!hasSecondFactor(owned)) passwordPolicy.checkLength(input.newPassword)
    await users.setPassword(tx, locked, passwordHash)
    await uses.oneTimeTokens.revoke(tx, locked)
    await uses.devices.forget(tx, locked)
    // An enrolment that was begun by someone with the old password ends with it.
    await factors.totp.abandon(tx, locked)
    // Guesses at the old password do not count against the new one. Now that all devices are unknown, a lock from
    // those guesses would lock them all out.
    await uses.lockout.unlock(tx, { email: locked.email })
    const data = { at: clock.now(), ip: context.ip, factors: owned }
    await mail.enqueue(tx, locked, { template: 'password_changed', data }, context)
    await events.record(tx, { type: 'password_change', outcome: 'success', userId, sessionId }, context)
    await sessions.revoke(tx, { userId, exceptSessionId: sessionId }, 'password_changed')
  })
}
