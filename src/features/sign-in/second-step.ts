import type { Origin } from '../../core/events/events.ts'
import type { FactorMethod, FactorProof } from '../../core/factors/factors.ts'
import { tellOwner } from '../../core/factors/notify-owner.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken } from '../../core/sign-in/devices.ts'
import { type SignedIn, startSession } from '../../core/sign-in/sign-in.ts'
import type { Queryable } from '../../platform/database.ts'
import type { User } from '../../platform/generated/client.ts'
import type { LoginDeps } from './login.ts'

/** How an access token tells it (RFC 8176). */
const AMR: Record<FactorMethod, readonly string[]> = {
  totp: ['pwd', 'otp', 'mfa'],
  passkey: ['pwd', 'pop', 'mfa'],
  recovery_code: ['pwd', 'otp', 'mfa'],
}

/** Undoes what the transaction did so far, so that the ticket is good for another try. */
const WRONG = new Error('wrong factor')

/**
 * The second factor's half of a sign-in.
 * @throws `mfa_invalid` (wrong, used and expired alike, ticket and proof), `too_many_attempts`.
 */
export async function secondStep(
  deps: LoginDeps,
  input: { mfaToken: string; proof: FactorProof; device: DeviceToken },
  origin: Origin,
): Promise<SignedIn> {
  const { db, devices, lockout, tickets, audit } = deps
  const { mfaToken, proof, device } = input
  const ticket = tickets.open('mfa', mfaToken)
  const user = ticket && (await db.user.findUnique({ where: { id: ticket.userId } }))
  const counts =
    user?.securityVersion === ticket?.securityVersion && !user?.disabledAt && !user?.resetRequiredAt
  if (!ticket || !user || !counts) {
    const event = { type: 'login', outcome: 'failure', reason: 'ticket_invalid', userId: user?.id } as const
    await audit.record(db, event, origin)
    throw new Problem('mfa_invalid')
  }
  const { transport } = ticket
  const isKnown = await devices.isKnown(db, user.id, device)

  async function prove(tx: Queryable, owner: User) {
    // Before what hangs on it: whoever changes factors locks in this order.
    await tx.$queryRaw`SELECT id FROM users WHERE id = ${owner.id}::uuid FOR UPDATE`
    // The ticket before the factor: one that is spent must not use up a code.
    if (!(await tickets.spend(tx, 'mfa', mfaToken))) return null
    const by = await deps.secondFactors.verify(tx, owner.id, proof, 'second_factor')
    if (!by) throw WRONG
    const means = { transport, device, isKnown, amr: AMR[by] }
    const issued = await startSession(deps, tx, owner, means, origin)
    if (issued && by === 'recovery_code') await tellOwner(deps, tx, owner.email, 'recovery_code_used', origin)
    return issued
  }

  const guess = {
    what: 'second_factor',
    account: user.id,
    owner: user.id,
    origin,
    device: isKnown ? device.hash : null,
  } as const
  const attempt = () =>
    db
      .$transaction((tx) => prove(tx, user))
      .catch((error: unknown) => {
        if (error === WRONG) return null
        throw error
      })
  const issued = await lockout.guess(guess, attempt)
  if (issued) return { issued, user, transport, mfaEnabled: true }
  const event = { type: 'login', outcome: 'failure', reason: 'wrong_factor', userId: user.id } as const
  await audit.record(db, event, origin)
  throw new Problem('mfa_invalid')
}
