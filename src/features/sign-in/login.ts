import { OWN_ACCOUNT } from '../../core/clients/clients.ts'
import type { ReasonOf, RequestContext } from '../../core/events/events.ts'
import type { Clearing } from '../../core/lockout/lockout.ts'
import type { Hashing } from '../../core/passwords/passwords.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken, ReadAccount, SecondStepRequired, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'

export type LoginUses = Uses<'db' | 'users' | 'signIn' | 'events'> & { hashing: Hashing }

export interface LoginInput {
  /** Canonical. */
  email: string
  password: string
  transport: 'cookie' | 'body'
  device: DeviceToken
}

/**
 * Signs in with a password; the first step of two if the account has a second factor.
 * @throws `invalid_credentials` (unknown, wrong and disabled alike), `too_many_attempts`, {Overloaded}; after a right
 * password `email_not_verified`, `password_reset_required`.
 */
export async function login(
  uses: LoginUses,
  input: LoginInput,
  context: RequestContext,
): Promise<SignedIn | SecondStepRequired> {
  const { db, hashing, signIn, events } = uses
  const { email, password, transport, device } = input
  let userId: string | undefined
  let wrong: ReasonOf<'login', 'failure'> = 'unknown_user'

  async function check({ user, isKnown }: ReadAccount, clearing: Clearing) {
    userId = user?.id
    const fits = await hashing.verify(user?.passwordHash ?? null, password)
    if (!user || !fits || user.disabledAt) {
      if (user) wrong = fits ? 'disabled' : 'wrong_password'
      return null
    }
    const refused = reasonToRefuse(user)
    if (refused) {
      await clearing.now()
      return { refused }
    }
    await renewHash(uses, user, password)
    const means = { ...OWN_ACCOUNT, transport, device, isKnown, amr: ['pwd'] }
    const completed = await signIn.completeAlone(user, means, context, clearing)
    if (completed) return completed
    // The password changed, or the account was deleted, while the hash was computed: it was no wrong guess.
    await clearing.now()
    return { refused: 'account_changed' as const }
  }

  const result = await signIn.guessPassword({ email, device, context }, check)
  if (result && !('refused' in result)) return result
  const reason = result?.refused ?? wrong
  await events.record(db, { type: 'login', outcome: 'failure', reason, userId }, context)
  const isTold = reason === 'email_not_verified' || reason === 'password_reset_required'
  throw new Problem(isTold ? reason : 'invalid_credentials')
}

function reasonToRefuse({
  emailVerifiedAt,
  resetRequiredAt,
}: User): 'email_not_verified' | 'password_reset_required' | null {
  if (!emailVerifiedAt) return 'email_not_verified'
  return resetRequiredAt ? 'password_reset_required' : null
}

/** Hashes the password again if the parameters have been raised since: only here the password is known. */
async function renewHash({ db, users, hashing }: LoginUses, user: User, password: string): Promise<void> {
  if (user.passwordHash === null || !hashing.isOutdated(user.passwordHash)) return
  await users.replaceHash(db, user, await hashing.hash(password))
}
