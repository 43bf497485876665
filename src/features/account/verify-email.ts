import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Registration } from '../../core/registrations/registrations.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'

export type VerifyEmailUses = Uses<
  'db' | 'users' | 'registrations' | 'passwords' | 'passwordPolicy' | 'lockout' | 'events'
>

/** What shows that the one who uses the link may have the account. At most one of them counts, the first. */
export interface RegistrationProof {
  /** Chosen now, by the owner of the mailbox, instead of the registration's. */
  newPassword?: string | undefined
  /** The registration's. */
  password?: string | undefined
  /** What registrations of the client were answered with. */
  registrationTokens: readonly string[]
}

/**
 * Makes an account of the registration that the link was mailed for. A link that has made one is answered with the same
 * success again, until it expires.
 * @throws `token_invalid`; `registration_proof_required` and `password_too_weak` without using up the link;
 * `too_many_attempts`; {Overloaded}.
 */
export async function verifyEmail(
  uses: VerifyEmailUses,
  { link, ...proof }: RegistrationProof & { link: string },
  context: RequestContext,
): Promise<void> {
  const { db, registrations, events } = uses
  async function refuse(code: 'token_invalid' | 'registration_proof_required'): Promise<never> {
    const reason = code === 'token_invalid' ? code : 'proof_required'
    await events.record(db, { type: 'verify_email', outcome: 'failure', reason }, context)
    throw new Problem(code)
  }

  const registration = await registrations.findByLink(db, link)
  if (!registration) return refuse('token_invalid')
  if (!registration.userId) {
    const account = await accountFor(uses, registration, proof, context)
    if (!account) return refuse('registration_proof_required')
    if (await registrations.complete(registration, account, context)) return
  }
  // Used before, perhaps by another request at the same time; or the address has an account by now.
  const { userId } = (await registrations.findByLink(db, link)) ?? {}
  if (!userId || !(await isRepetition(uses, userId, proof, context))) await refuse('token_invalid')
}

/** The address whose registration the link belongs to, without using it. @throws `token_invalid`. */
export async function checkVerificationLink(
  { db, registrations }: Pick<VerifyEmailUses, 'db' | 'registrations'>,
  link: string,
): Promise<string> {
  const registration = await registrations.findByLink(db, link)
  if (!registration) throw new Problem('token_invalid')
  return registration.email
}

/** The account that the proof allows; null if it proves nothing. */
async function accountFor(
  { passwords, passwordPolicy, registrations }: VerifyEmailUses,
  registration: Registration,
  { newPassword, password, registrationTokens }: RegistrationProof,
  context: RequestContext,
): Promise<{ name: string | null; passwordHash: string } | null> {
  const { email, name, passwordHash } = registration
  const client = clientKey(context.ip)
  if (newPassword !== undefined) {
    await passwordPolicy.check(newPassword, { email })
    // Somebody else may have chosen the name.
    return { name: null, passwordHash: await passwords.hash(newPassword, client) }
  }
  const isProven =
    password !== undefined
      ? await passwords.verify(passwordHash, password, client)
      : registrations.isProof(registration, registrationTokens)
  return isProven && passwordHash !== null ? { name, passwordHash } : null
}

/** Whether the use of a link that has made an account can be answered as the first one: nobody's password differs. */
async function isRepetition(
  { db, users, passwords, lockout }: VerifyEmailUses,
  userId: string,
  { newPassword }: RegistrationProof,
  context: RequestContext,
): Promise<boolean> {
  const user = await users.find(db, userId)
  if (!user) return false
  if (newPassword === undefined) return true
  // The answer tells whether it is the account's password, so it counts as a guess at a sign-in does.
  const guess = { what: 'password', account: user.email, owner: userId, context, device: null } as const
  const isSame = () => passwords.verify(user.passwordHash, newPassword, clientKey(context.ip))
  return (await lockout.guess(guess, async () => ((await isSame()) ? {} : null))) !== null
}
