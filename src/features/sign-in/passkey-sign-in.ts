import { OWN_ACCOUNT } from '../../core/clients/clients.ts'
import type { RequestContext } from '../../core/events/events.ts'
import type { PasskeyAnswer } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

export type PasskeySignInUses = Uses<
  'db' | 'transact' | 'factors' | 'tickets' | 'devices' | 'signIn' | 'events'
>

/**
 * A challenge for a passkey of any account or, with the ticket of a first step, of that account.
 * @throws `mfa_invalid` when the ticket is not valid.
 */
export async function passkeyOptions(uses: PasskeySignInUses, mfaToken: string | undefined) {
  const { db, factors, tickets } = uses
  if (mfaToken === undefined) return factors.passkeys.assertionOptions(db, 'sign_in', null)
  const ticket = tickets.open('mfa', mfaToken)
  if (!ticket) throw new Problem('mfa_invalid')
  return factors.passkeys.assertionOptions(db, 'second_factor', ticket.userId)
}

/** Possession and user verification: two factors at once (RFC 8176). */
const AMR = ['pop', 'user', 'mfa']

/**
 * Signs in with a passkey alone.
 * @throws `passkey_unknown`, `passkey_invalid` (wrong, used, expired and disabled alike), `password_reset_required`.
 */
export async function passkeySignIn(
  uses: PasskeySignInUses,
  input: { answer: PasskeyAnswer; transport: 'cookie' | 'body'; device: DeviceToken },
  context: RequestContext,
): Promise<SignedIn> {
  const { db, transact, factors, devices, signIn, events } = uses
  const { answer, transport, device } = input

  const outcome = await transact(async (tx) => {
    const expected = { use: 'sign_in', userId: null } as const
    const answered = await factors.passkeys.verify(tx, answer, expected, context)
    if ('refused' in answered) return answered
    const { user } = answered
    if (user.disabledAt) return { refusedTo: user.id, reason: 'disabled' as const }
    if (user.resetRequiredAt) return { refusedTo: user.id, reason: 'password_reset_required' as const }
    const isKnown = (await devices.standing(tx, { id: user.id }, device)) === 'signed_in'
    return signIn.complete(tx, user, { ...OWN_ACCOUNT, transport, device, isKnown, amr: AMR }, context)
  })
  if ('issued' in outcome) return outcome
  // Cannot happen: nobody is asked for a second factor after two.
  if ('mfaToken' in outcome) throw new Error('a passkey that verified its user was not enough')

  if ('refused' in outcome) {
    const { isUnknown, owner: userId, events: faults } = outcome.refused
    const reason = isUnknown ? 'passkey_unknown' : 'passkey_invalid'
    await events.record(db, [...faults, { type: 'login', outcome: 'failure', reason, userId }], context)
    throw new Problem(reason)
  }
  const { reason, refusedTo: userId } = outcome
  await events.record(db, { type: 'login', outcome: 'failure', reason, userId }, context)
  throw new Problem(reason === 'disabled' ? 'passkey_invalid' : reason)
}
