import type { Audit, Origin } from '../../core/events/events.ts'
import { hasSecondFactor, listFactors } from '../../core/factors/has-second-factor.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { MIN_LENGTH_WITH_SECOND_FACTOR, type PasswordPolicy } from '../../core/passwords/password-policy.ts'
import type { Passwords } from '../../core/passwords/passwords.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { RefreshTokens } from '../../core/sessions/sessions.ts'
import type { Devices } from '../../core/sign-in/devices.ts'
import type { Links } from '../../http/links.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

export interface PasswordResetDeps {
  db: Database
  passwords: Passwords
  oneTimeTokens: OneTimeTokens
  refreshTokens: RefreshTokens
  lockout: Lockout
  outbox: Outbox
  audit: Audit
  links: Links
  clock: Clock
  passwordPolicy: PasswordPolicy
  devices: Pick<Devices, 'forget'>
}

/** Mails a link to the stored address, if there is one; silent about everything else. */
export async function requestPasswordReset(
  deps: PasswordResetDeps,
  email: string,
  origin: Origin,
): Promise<void> {
  const { db, oneTimeTokens, outbox, audit, links } = deps
  await db.$transaction(async (tx) => {
    // One at a time for an address, known or not: what waits in line would tell that there is an account.
    const [lock] = await tx.$queryRaw<{ mine: boolean }[]>`
      SELECT pg_try_advisory_xact_lock(hashtextextended(${`password_reset:${email}`}, 0)) AS mine`
    if (!lock?.mine) return
    // Locked by its address: a link must not go to one that the account leaves at this very moment.
    const [user] = await tx.$queryRaw<
      { id: string }[]
    >`SELECT id FROM users WHERE email = ${email} FOR UPDATE`
    const event = { type: 'password_reset_request', userId: user?.id } as const
    const token = user ? await oneTimeTokens.issue(tx, 'reset_password', user.id) : null
    if (!user || !token) {
      return audit.record(
        tx,
        { ...event, outcome: 'failure', reason: user ? 'disabled' : 'unknown_user' },
        origin,
      )
    }
    const data = {
      link: links.resetPassword(token),
      minutes: ONE_TIME_TTL.reset_password / 60,
      ip: origin.ip,
    }
    await outbox.enqueue(tx, email, { template: 'reset_password', data })
    await audit.record(tx, { ...event, outcome: 'success' }, origin)
  })
  outbox.wake()
}

/**
 * Sets a new password and ends all sessions. A mail that arrived also proves the address.
 * @throws `token_invalid`; `password_too_weak` without using up the token; `revocation_pending` (reset, the revocations follow).
 */
export async function resetPassword(
  deps: PasswordResetDeps,
  input: { token: string; password: string },
  origin: Origin,
): Promise<void> {
  const {
    db,
    passwords,
    passwordPolicy,
    oneTimeTokens,
    refreshTokens,
    lockout,
    devices,
    outbox,
    audit,
    clock,
  } = deps
  const refuse = async () => {
    await audit.record(db, { type: 'password_reset', outcome: 'failure', reason: 'token_invalid' }, origin)
    return new Problem('token_invalid')
  }
  // Looked up first, used up last: whoever has no link learns nothing by the passwords that are refused.
  const owner = await oneTimeTokens.find(db, 'reset_password', input.token)
  if (!owner) throw await refuse()
  const minLength = (await hasSecondFactor(db, owner.userId)) ? MIN_LENGTH_WITH_SECOND_FACTOR : undefined
  await passwordPolicy.check(input.password, { email: owner.email, minLength })
  await requireAnother(deps, owner.userId, input.password)
  const passwordHash = await passwords.hash(input.password)
  const revocations = await db.$transaction(async (tx) => {
    const id = await oneTimeTokens.consume(tx, 'reset_password', input.token)
    if (!id) return null
    // The factor that let a short one pass may be gone by now; its removal takes the same lock.
    if (!(await hasSecondFactor(tx, id))) passwordPolicy.checkLength(input.password)
    const now = new Date(clock.now())
    const user = await tx.user.update({
      where: { id },
      data: { passwordHash, securityVersion: { increment: 1 }, resetRequiredAt: null },
    })
    if (!user.emailVerifiedAt) await tx.user.update({ where: { id }, data: { emailVerifiedAt: now } })
    await tx.oneTimeToken.deleteMany({ where: { userId: id } })
    await lockout.unlock(tx, user)
    await devices.forget(tx, id)
    await outbox.enqueue(tx, user.email, {
      template: 'password_changed',
      data: { at: clock.now(), ip: origin.ip, factors: await listFactors(tx, id) },
    })
    await audit.record(tx, { type: 'password_reset', outcome: 'success', userId: id }, origin)
    return refreshTokens.record(tx, { userId: id }, 'password_reset')
  })
  if (!revocations) throw await refuse()
  outbox.wake()
  await refreshTokens.propagate(revocations)
}

/** An administrator who requires a reset has reason to fear that the password is known. @throws `password_too_weak`. */
async function requireAnother(
  { db, passwords }: PasswordResetDeps,
  id: string,
  password: string,
): Promise<void> {
  const user = await db.user.findUnique({ where: { id } })
  if (!user?.resetRequiredAt || !(await passwords.verify(user.passwordHash, password))) return
  const detail = 'This is the password that has to be replaced: choose another one.'
  throw new Problem('password_too_weak', { reasons: ['same_as_before'], detail })
}
