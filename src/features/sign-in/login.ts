import { OWN_ACCOUNT } from '../../core/clients/clients.ts'
import type { ReasonOf, RequestContext } from '../../core/events/events.ts'
import type { Clearing } from '../../core/lockout/lockout.ts'
import type { Hashing } from '../../core/passwords/passwords.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Registration } from '../../core/registrations/registrations.ts'
import type { DeviceToken, ReadAccount, SecondStepRequired, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'

export type LoginUses = Uses<'db' | 'transact' | 'users' | 'registrations' | 'signIn' | 'events'> & {
  hashing: Hashing
}

export interface LoginInput {
  /** Canonical. */
  email: string
  password: string
  transport: 'cookie' | 'body'
  device: DeviceToken
  /** Of a client that has registered. */
  registrationTokens: readonly string[]
}

/** What a check that failed has found. */
interface Found {
  userId: string | undefined
  wrong: ReasonOf<'login', 'failure'>
  /** The registration whose password it was. */
  pending: Registration | null
}

/**
 * Signs in with a password; the first step of two if the account has a second factor.
 * @throws `invalid_credentials` (unknown, wrong and disabled alike), `too_many_attempts`, {Overloaded}; after a right
 * password `password_reset_required`; after the right password of a registration `email_not_verified`.
 */
export async function login(
  uses: LoginUses,
  input: LoginInput,
  context: RequestContext,
): Promise<SignedIn | SecondStepRequired> {
  const { db, transact, registrations, hashing, signIn, events } = uses
  const { email, password, transport, device } = input
  const found: Found = { userId: undefined, wrong: 'unknown_user', pending: null }

  async function check({ user, isKnown }: ReadAccount, clearing: Clearing) {
    found.userId = user?.id
    // What is refused costs a whole refusal, also after a right password.
    const barred = user && reasonToRefuse(user)
    const options = { refused: Boolean(barred) }
    const fits = await hashing.verify(user?.passwordHash ?? null, password, options)
    const refused = user && (fits ? barred : whyWrong(hashing, user))
    if (user && !refused) {
      await renewHash(uses, user, password)
      const means = { ...OWN_ACCOUNT, transport, device, isKnown, amr: ['pwd'] }
      const completed = await signIn.completeAlone(user, means, context, clearing)
      if (completed) return completed
      // The password changed, or the account was deleted, while the hash was computed. What throws is not counted.
      return refuse('account_changed')
    }
    // It counts as a failure, also after a right password: only a sign-in that may be completed is taken off the counts.
    if (refused) found.wrong = refused
    // With or without an account there are as many hashes, so the time tells nobody whether there is one.
    found.pending = await findPending()
    return null
  }

  async function findPending(): Promise<Registration | null> {
    const { registrationTokens: tokens } = input
    const registration = tokens.length > 0 ? await registrations.findByTokens(db, email, tokens) : null
    return registration && (await hashing.verify(registration.passwordHash, password)) ? registration : null
  }

  async function refuse(reason: ReasonOf<'login', 'failure'>): Promise<never> {
    await events.record(db, { type: 'login', outcome: 'failure', reason, userId: found.userId }, context)
    if (reason === 'password_reset_required') throw new Problem(reason)
    throw new Problem('invalid_credentials', { detail: MAYBE_UNVERIFIED })
  }

  async function refusePending({ id }: Registration): Promise<never> {
    const reason = 'email_not_verified'
    await transact(async (tx) => {
      await registrations.mail(tx, email, clientKey(context.ip), id)
      await events.record(tx, { type: 'login', outcome: 'failure', reason, userId: found.userId }, context)
    })
    throw new Problem(reason)
  }

  const signedIn = await signIn.guessPassword({ email, device, context }, check)
  if (signedIn) return signedIn
  // A required reset comes first: it is the account's own password that was right.
  if (found.pending && found.wrong !== 'password_reset_required') return refusePending(found.pending)
  return refuse(found.wrong)
}

const MAYBE_UNVERIFIED =
  'If you have registered with this address, open the link in our mail first. It may have been sent a moment ago.'

/** Null if the account may be signed in to. */
function reasonToRefuse(user: User): ReasonOf<'login', 'failure'> | null {
  if (user.disabledAt) return 'disabled'
  if (!user.emailVerifiedAt) return 'email_not_verified'
  return user.resetRequiredAt ? 'password_reset_required' : null
}

const whyWrong = (hashing: Hashing, { passwordHash }: User) =>
  passwordHash === null || hashing.isReadable(passwordHash) ? 'wrong_password' : 'password_hash_unreadable'

/**
 * Hashes the password again if the hash was imported, or the parameters have changed since: only here the password is
 * known.
 */
async function renewHash({ db, users, hashing }: LoginUses, user: User, password: string): Promise<void> {
  if (user.passwordHash === null || !hashing.isOutdated(user.passwordHash, password)) return
  await users.replaceHash(db, user, await hashing.hash(password))
}
