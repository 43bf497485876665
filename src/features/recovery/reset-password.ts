import type { RequestContext } from '../../core/events/events.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'
import { explainRefusal } from './read-reset-link.ts'

export type ResetPasswordUses = Uses<
  | 'db'
  | 'transact'
  | 'clock'
  | 'users'
  | 'registrations'
  | 'sessions'
  | 'factors'
  | 'passwords'
  | 'passwordPolicy'
  | 'oneTimeTokens'
  | 'usedTokens'
  | 'lockout'
  | 'devices'
  | 'mail'
  | 'events'
>

/**
 * Sets a new password and ends all sessions, or makes the account of a registration with it. The mailed token also
 * verifies the address.
 * @throws `token_invalid`, `token_used`; `password_too_weak` without using up the token; `revocation_pending` (reset; the sessions end
 * within a second).
 */
export async function resetPassword(
  uses: ResetPasswordUses,
  input: { token: string; password: string },
  context: RequestContext,
): Promise<void> {
  const { db, transact, clock, users, sessions, factors, oneTimeTokens, usedTokens, passwordPolicy } = uses
  const { mail, events } = uses
  async function refuse(): Promise<never> {
    const { code, userId } = await explainRefusal(uses, input.token)
    await events.record(db, { type: 'password_reset', outcome: 'failure', reason: code, userId }, context)
    throw new Problem(code)
  }

  // The token is checked first, so that only its holder learns which passwords are refused. It is used up last.
  const owner = await oneTimeTokens.find(db, 'reset_password', input.token)
  if (!owner) {
    if (!(await completeRegistration(uses, input, context))) await refuse()
    return
  }
  await passwordPolicy.check(input.password, {
    email: owner.email,
    hasSecondFactor: hasSecondFactor(await factors.of(db, owner.id)),
  })
  const client = clientKey(context.ip)
  await requireAnother(uses, owner.id, input.password, client)
  const passwordHash = await uses.passwords.hash(input.password, client)

  const isReset = await transact(async (tx) => {
    const consumed = await oneTimeTokens.consume(tx, 'reset_password', input.token)
    if (!consumed) return false
    const owned = await factors.of(tx, consumed.user.id)
    // The factor that allowed a short password may have been removed since; removing it takes the same lock.
    if (!hasSecondFactor(owned)) passwordPolicy.checkLength(input.password)
    const user = await users.resetPassword(tx, consumed.user, passwordHash)
    const { id: userId, email } = user
    await oneTimeTokens.revoke(tx, user)
    const { expiresAt } = consumed
    await usedTokens.remember(tx, { purpose: 'reset_password', token: input.token, userId, expiresAt })
    await uses.lockout.unlock(tx, { id: userId, email })
    await uses.devices.forget(tx, user)
    // An enrolment that was begun by someone with the old password ends with it.
    await factors.totp.abandon(tx, user)
    const data = { at: clock.now(), ip: context.ip, factors: owned }
    await mail.enqueue(tx, user, { template: 'password_changed', data }, context)
    await events.record(tx, { type: 'password_reset', outcome: 'success', userId }, context)
    await sessions.revoke(tx, { userId }, 'password_reset')
    return true
  })
  if (!isReset) await refuse()
}

/** Makes the account of a registration, whose link proves the mailbox. False if the token is none of these. */
async function completeRegistration(
  { db, registrations, passwords, passwordPolicy }: ResetPasswordUses,
  { token, password }: { token: string; password: string },
  context: RequestContext,
): Promise<boolean> {
  const registration = await registrations.findByLink(db, token)
  if (!registration || registration.userId) return false
  await passwordPolicy.check(password, { email: registration.email })
  const passwordHash = await passwords.hash(password, clientKey(context.ip))
  // Somebody else may have chosen the name.
  return registrations.complete(registration, { name: null, passwordHash }, context)
}

/** After a required reset the password must be a new one: the old one may be known. @throws `password_too_weak`. */
async function requireAnother(
  { db, users, passwords }: ResetPasswordUses,
  userId: string,
  password: string,
  client: string,
): Promise<void> {
  // Read now: the reset may have been required while the new password was checked.
  const user = await users.find(db, userId)
  if (!user?.resetRequiredAt || !(await passwords.verify(user.passwordHash, password, client))) return
  const detail = 'This is your old password. Choose a different one.'
  throw new Problem('password_too_weak', { reasons: ['same_as_before'], detail })
}
