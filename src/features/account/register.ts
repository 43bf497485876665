import type { RequestContext } from '../../core/events/events.ts'
import type { NewRegistration } from '../../core/registrations/registrations.ts'
import type { Uses } from '../../core/uses.ts'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { clientKey } from '../../platform/client-key.ts'

export type RegisterUses = Uses<
  'transact' | 'users' | 'registrations' | 'passwords' | 'passwordPolicy' | 'events'
>

export interface RegisterInput extends Pick<NewRegistration, 'email' | 'name'> {
  password: string
}

/**
 * Stores a registration and mails a link to the address, or to the owner of its account that there is one. The caller
 * cannot tell which, and gets a registration token alike.
 * @throws `password_too_weak`, {Overloaded}.
 */
export async function register(
  { transact, users, registrations, passwords, passwordPolicy, events }: RegisterUses,
  { email, name, password }: RegisterInput,
  context: RequestContext,
): Promise<string> {
  // Checked before the minimum duration begins: a slow network would use up the time that hides the rest.
  await passwordPolicy.check(password, { email })
  const client = clientKey(context.ip)
  return withMinimumDuration(async () => {
    const passwordHash = await passwords.hash(password, client)
    return transact(async (tx) => {
      const { id, token } = await registrations.create(tx, { email, name, passwordHash }, context)
      await registrations.mail(tx, email, client, id)
      const owner = await users.findByEmail(tx, email)
      const event = owner
        ? ({ type: 'register', outcome: 'failure', reason: 'already_registered', userId: owner.id } as const)
        : ({ type: 'register', outcome: 'success' } as const)
      await events.record(tx, event, context)
      return token
    })
  })
}
