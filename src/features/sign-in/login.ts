import { OWN_ACCOUNT } from '../../core/clients/clients.ts'
import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'

export type LoginUses = Uses<
  'db' | 'transact' | 'users' | 'passwords' | 'lockout' | 'devices' | 'signIn' | 'events'
>

export interface LoginInput {
  /** Canonical. */
  email: string
  password: string
  transport: 'cookie' | 'body'
  device: DeviceToken
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

/**
 * Signs in with a password; the first step of two if the account has a second factor.
 * @throws `invalid_credentials` (unknown, wrong and disabled alike), `too_many_attempts`, {Overloaded}; after a right
 * password `email_not_verified`, `password_reset_required`, `mfa_required` with the ticket for the second step.
 */
export async function login(uses: LoginUses, input: LoginInput, context: RequestContext): Promise<SignedIn> {
  const { db, transact, users, signIn, events } = uses
  const { transport, device } = input
  const { user, isKnown } = await checkPassword(uses, input, context)
  const { id: userId, securityVersion } = user

  async function refuse(reason: 'email_not_verified' | 'password_reset_required'): Promise<never> {
    await events.record(db, { type: 'login', outcome: 'failure', reason, userId }, context)
    throw new Problem(reason)
  }
  if (!user.emailVerifiedAt) await refuse('email_not_verified')
  if (user.resetRequiredAt) await refuse('password_reset_required')
  await renewHash(uses, user, input.password, clientKey(context.ip))

  const completed = await transact(async (tx) => {
    // A shared lock keeps factors and password unchanged: changing them takes the exclusive lock.
    const locked = await users.lock(tx, userId, { securityVersion, mode: 'share' })
    const means = { ...OWN_ACCOUNT, transport, device, isKnown, amr: ['pwd'] }
    return locked && signIn.complete(tx, locked, means, context)
  })
  if (!completed) {
    // The password changed, or the account was deleted, while the hash was computed.
    const event = { type: 'login', outcome: 'failure', reason: 'account_changed', userId } as const
    await events.record(db, event, context)
    throw new Problem('invalid_credentials')
  }
  if ('issued' in completed) return completed
  const { mfaToken: mfa_token, methods } = completed
  throw new Problem('mfa_required', { mfa_token, methods })
}

async function checkPassword(
  { db, users, passwords, devices, lockout, events }: LoginUses,
  { email, password, device }: LoginInput,
  context: RequestContext,
): Promise<{ user: User; isKnown: boolean }> {
  const user = await users.findByEmail(db, email)
  // Queried for unknown addresses too: skipping the query would reveal them.
  const isKnown = await devices.isKnown(db, user?.id ?? NOBODY, device)
  const guess = {
    what: 'password',
    account: email,
    owner: user?.id,
    context,
    device: isKnown ? device.hash : null,
  } as const
  let fits = false
  const right = await lockout.guess(guess, async () => {
    fits = await passwords.verify(user?.passwordHash ?? null, password, clientKey(context.ip))
    return user && fits && !user.disabledAt ? user : null
  })
  if (right) return { user: right, isKnown }
  const reason = !user ? 'unknown_user' : fits ? 'disabled' : 'wrong_password'
  await events.record(db, { type: 'login', outcome: 'failure', reason, userId: user?.id }, context)
  throw new Problem('invalid_credentials')
}

/** Hashes the password again if the parameters have been raised since: only here the password is known. */
async function renewHash(
  { db, users, passwords }: LoginUses,
  user: User,
  password: string,
  client: string,
): Promise<void> {
  if (user.passwordHash === null || !passwords.isOutdated(user.passwordHash)) return
  await users.replaceHash(db, user, await passwords.hash(password, client))
}
