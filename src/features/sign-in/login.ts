import type { Origin } from '../../core/events/events.ts'
import type { SecondFactors } from '../../core/factors/factors.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import type { Tickets } from '../../core/one-time/tickets.ts'
import type { Passwords } from '../../core/passwords/passwords.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken } from '../../core/sign-in/devices.ts'
import { type SignedIn, type StartSessionDeps, startSession } from '../../core/sign-in/sign-in.ts'
import type { User } from '../../platform/generated/client.ts'

export interface LoginDeps extends StartSessionDeps {
  passwords: Passwords
  secondFactors: SecondFactors
  lockout: Lockout
  tickets: Tickets
}

export interface LoginInput {
  /** Canonical. */
  email: string
  password: string
  transport: 'cookie' | 'body'
  device: DeviceToken
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

/** Seconds between the two steps of a sign-in. */
export const MFA_TICKET_TTL = 300

/**
 * The password's half of a sign-in, and all of it for an account without a second factor.
 * @throws `invalid_credentials` (unknown, wrong and disabled alike), `too_many_attempts`, `overloaded`; after a right
 * password `email_not_verified`, `password_reset_required`, `mfa_required` with the ticket for the second step.
 */
export async function login(deps: LoginDeps, input: LoginInput, origin: Origin): Promise<SignedIn> {
  const { db, secondFactors, audit, tickets } = deps
  const { transport, device } = input
  const { user, isKnown } = await checkPassword(deps, input, origin)
  const refuse = async (code: 'email_not_verified' | 'password_reset_required') => {
    await audit.record(db, { type: 'login', outcome: 'failure', reason: code, userId: user.id }, origin)
    return code
  }
  if (!user.emailVerifiedAt) throw new Problem(await refuse('email_not_verified'))
  if (user.resetRequiredAt) throw new Problem(await refuse('password_reset_required'))
  await renewHash(deps, user, input.password)
  const { issued, methods } = await db.$transaction(async (tx) => {
    // A factor that is being set up right now counts: it takes the same lock.
    await tx.$queryRaw`SELECT id FROM users WHERE id = ${user.id}::uuid FOR SHARE`
    const methods = await secondFactors.methods(tx, user.id)
    if (methods.length > 0) return { issued: null, methods }
    const means = { transport, device, isKnown, amr: ['pwd'] }
    return { issued: await startSession(deps, tx, user, means, origin), methods }
  })
  if (issued) return { issued, user, transport, mfaEnabled: false }
  if (methods.length > 0) {
    const { id: userId, securityVersion } = user
    const mfa_token = tickets.issue('mfa', { userId, securityVersion, transport }, MFA_TICKET_TTL)
    await audit.record(db, { type: 'login_first_step', outcome: 'success', userId }, origin)
    throw new Problem('mfa_required', { mfa_token, methods })
  }
  // The password changed, or the account went, while the hash was computed.
  const event = { type: 'login', outcome: 'failure', reason: 'account_changed', userId: user.id } as const
  await audit.record(db, event, origin)
  throw new Problem('invalid_credentials')
}

async function checkPassword(
  deps: LoginDeps,
  input: LoginInput,
  origin: Origin,
): Promise<{ user: User; isKnown: boolean }> {
  const { db, passwords, devices, lockout, audit } = deps
  const user = await db.user.findUnique({ where: { email: input.email } })
  // Also for an address that nobody has: a query less would tell.
  const isKnown = await devices.isKnown(db, user?.id ?? NOBODY, input.device)
  const guess = {
    what: 'password',
    account: input.email,
    owner: user?.id,
    origin,
    device: isKnown ? input.device.hash : null,
  } as const
  let fits = false
  const right = await lockout.guess(guess, async () => {
    fits = await passwords.verify(user?.passwordHash ?? null, input.password)
    return user && fits && !user.disabledAt ? user : null
  })
  if (right) return { user: right, isKnown }
  const reason = !user ? 'unknown_user' : fits ? 'disabled' : 'wrong_password'
  await audit.record(db, { type: 'login', outcome: 'failure', reason, userId: user?.id }, origin)
  throw new Problem('invalid_credentials')
}

/** Parameters rise over the years; the password is known only here. */
async function renewHash({ db, passwords }: LoginDeps, user: User, password: string): Promise<void> {
  if (!passwords.isOutdated(user.passwordHash)) return
  const passwordHash = await passwords.hash(password)
  await db.user.updateMany({
    where: { id: user.id, passwordHash: user.passwordHash },
    data: { passwordHash },
  })
}
