import type { Origin } from '../../core/events/events.ts'
import type { PasskeyAnswer, Passkeys } from '../../core/factors/passkeys/passkeys.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken } from '../../core/sign-in/devices.ts'
import { type SignedIn, startSession } from '../../core/sign-in/sign-in.ts'
import type { LoginDeps } from './login.ts'

export interface PasskeySignInDeps extends LoginDeps {
  passkeys: Passkeys
}

/**
 * A challenge for a passkey: of whoever has one, or with the ticket of a first step for that account's.
 * @throws `mfa_invalid` when the ticket is over.
 */
export async function passkeyOptions(deps: PasskeySignInDeps, mfaToken: string | undefined) {
  const { db, passkeys, tickets } = deps
  if (mfaToken === undefined) return passkeys.assertionOptions(db, 'sign_in', null)
  const ticket = tickets.open('mfa', mfaToken)
  if (!ticket) throw new Problem('mfa_invalid')
  return passkeys.assertionOptions(db, 'second_factor', ticket.userId)
}

/**
 * A sign-in without a password. The authenticator has verified its user: that is two factors in one.
 * @throws `passkey_invalid` (unknown, wrong, used, expired and disabled alike), `password_reset_required`.
 */
export async function passkeySignIn(
  deps: PasskeySignInDeps,
  input: { answer: PasskeyAnswer; transport: 'cookie' | 'body'; device: DeviceToken },
  origin: Origin,
): Promise<SignedIn> {
  const { db, passkeys, devices, audit } = deps
  const { answer, transport, device } = input
  const outcome = await db.$transaction(async (tx) => {
    const by = await passkeys.verify(tx, answer, { use: 'sign_in', userId: null })
    const user = by && (await tx.user.findUnique({ where: { id: by.userId } }))
    if (!user || user.disabledAt) return null
    if (user.resetRequiredAt) return { user, issued: null }
    const isKnown = await devices.isKnown(tx, user.id, device)
    const means = { transport, device, isKnown, amr: ['pop', 'user', 'mfa'] }
    const issued = await startSession(deps, tx, user, means, origin)
    return issued && { user, issued }
  })
  if (outcome?.issued) return { ...outcome, issued: outcome.issued, transport, mfaEnabled: true }
  const code = outcome ? 'password_reset_required' : 'passkey_invalid'
  const event = { type: 'login', outcome: 'failure', reason: code, userId: outcome?.user.id } as const
  await audit.record(db, event, origin)
  throw new Problem(code)
}
