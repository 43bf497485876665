import type { RequestContext } from '../../core/events/events.ts'
import { ONE_TIME_TTL } from '../../core/one-time/one-time.ts'
import type { LockedUser } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { clientKey } from '../../platform/client-key.ts'
import type { Transaction } from '../../platform/transact.ts'

export type RegisterUses = Uses<
  'transact' | 'users' | 'passwords' | 'passwordPolicy' | 'oneTimeTokens' | 'mail' | 'events' | 'links'
>

interface RegisterInput {
  /** Canonical. */
  email: string
  password: string
  name: string | undefined
}

/**
 * Creates an unverified account, or mails the owner of an existing one; the caller cannot tell which.
 * A later registration of an unverified address replaces the earlier one and voids its link.
 * @throws `password_too_weak`, {Overloaded}.
 */
export async function register(
  uses: RegisterUses,
  input: RegisterInput,
  context: RequestContext,
): Promise<void> {
  // Checked before the minimum duration begins: a slow network would use up the time that hides the rest.
  await uses.passwordPolicy.check(input.password, { email: input.email })
  await withMinimumDuration(() => createOrNotify(uses, input, context))
}

async function createOrNotify(
  uses: RegisterUses,
  input: RegisterInput,
  context: RequestContext,
): Promise<void> {
  const { transact, users, passwords, mail, events, links } = uses
  const { email, password, name } = input
  const passwordHash = await passwords.hash(password, clientKey(context.ip))
  await transact(async (tx) => {
    const user = await users.register(tx, { email, name, passwordHash })
    if (user) {
      await sendVerification(uses, tx, user)
      await events.record(tx, { type: 'register', outcome: 'success', userId: user.id }, context)
      return
    }
    const data = { resetLink: links.forgotPassword() }
    await mail.enqueue(tx, email, { template: 'already_registered', data })
    const owner = await users.findByEmail(tx, email)
    const failure = { type: 'register', outcome: 'failure', reason: 'already_registered' } as const
    await events.record(tx, { ...failure, userId: owner?.id }, context)
  })
}

/** Mails a verification link for this registration. */
export async function sendVerification(
  { oneTimeTokens, mail, links }: Uses<'oneTimeTokens' | 'mail' | 'links'>,
  tx: Transaction,
  user: LockedUser,
): Promise<void> {
  const token = await oneTimeTokens.issue(tx, 'verify_email', user)
  if (!token) return
  const data = {
    link: links.verifyEmail(token),
    minutes: ONE_TIME_TTL.verify_email / 60,
    // Somebody else may have made the last registration. A reset lets the mailbox's owner choose the password.
    resetLink: user.securityVersion > 1 ? links.forgotPassword() : undefined,
  }
  await mail.enqueue(tx, user.email, { template: 'verify_email', data })
}
