import { OWN_ACCOUNT } from '../../core/clients/clients.ts'
import type { AuditEvent, RequestContext } from '../../core/events/events.ts'
import type { FactorProof } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { FactorMethod } from '../../core/reasons/reasons.ts'
import type { DeviceToken, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import type { Transaction } from '../../platform/transact.ts'

export type SecondStepUses = Uses<
  'db' | 'transact' | 'users' | 'factors' | 'tickets' | 'devices' | 'lockout' | 'signIn' | 'events'
>

/** The authentication methods in the access token for each factor (RFC 8176). */
const AMR: Record<FactorMethod, readonly string[]> = {
  totp: ['pwd', 'otp', 'mfa'],
  passkey: ['pwd', 'pop', 'mfa'],
  recovery_code: ['pwd', 'otp', 'mfa'],
}

/** Thrown to roll the transaction back, so that the ticket can be used for another try. */
const WRONG = new Error('wrong factor')

/**
 * Completes a sign-in with the second factor.
 * @throws `mfa_invalid` (for a wrong, used or expired ticket or proof), `too_many_attempts`.
 */
export async function secondStep(
  uses: SecondStepUses,
  input: { mfaToken: string; proof: FactorProof; device: DeviceToken },
  context: RequestContext,
): Promise<SignedIn> {
  const { db, transact, users, factors, tickets, devices, lockout, signIn, events } = uses
  const { mfaToken, proof, device } = input
  const ticket = tickets.open('mfa', mfaToken)
  const user = ticket && (await users.find(db, ticket.userId))
  const isValid =
    user?.securityVersion === ticket?.passwordVersion && !user?.disabledAt && !user?.resetRequiredAt
  if (!ticket || !user || !isValid) {
    const event = { type: 'login', outcome: 'failure', reason: 'ticket_invalid', userId: user?.id } as const
    await events.record(db, event, context)
    throw new Problem('mfa_invalid')
  }
  const { transport } = ticket
  const standing = await devices.standing(db, { id: user.id }, device)
  const isKnown = standing === 'signed_in'
  let faults: readonly AuditEvent[] = []

  async function prove(tx: Transaction, { id, securityVersion }: User): Promise<SignedIn | null> {
    const locked = await users.lock(tx, id, { securityVersion })
    // The ticket is spent before the factor is checked: a spent ticket must not use up a code.
    if (!locked || !(await tickets.spend(tx, 'mfa', mfaToken))) return null
    const verified = await factors.verify(tx, locked, proof, 'second_factor', context)
    if (verified.method === null) {
      faults = verified.events
      throw WRONG
    }
    const { method } = verified
    const means = { ...OWN_ACCOUNT, transport, device, isKnown, amr: AMR[method] }
    const completed = await signIn.complete(tx, locked, means, context)
    if (method === 'recovery_code') await factors.notifyOwner(tx, locked, 'recovery_code_used', context)
    return 'issued' in completed ? completed : null
  }

  const guess = {
    what: 'second_factor',
    account: user.id,
    owner: user.id,
    context,
    device: standing && { hash: device.hash, standing },
  } as const
  const signedIn = await lockout.guess(guess, () =>
    transact((tx) => prove(tx, user)).catch((error: unknown) => {
      if (error === WRONG) return null
      throw error
    }),
  )
  if (signedIn) return signedIn
  const event = { type: 'login', outcome: 'failure', reason: 'wrong_factor', userId: user.id } as const
  await events.record(db, [...faults, event], context)
  throw new Problem('mfa_invalid')
}
