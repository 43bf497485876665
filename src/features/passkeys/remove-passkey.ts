import type { AccessTokenClaims } from '../../core/access-tokens/access-tokens.ts'
import type { Origin } from '../../core/audit/audit.ts'
import type { FactorProof } from '../../core/second-factor/second-factors.ts'
import { Problem } from '../../platform/problem.ts'
import type { AddPasskeyDeps } from './add-passkey.ts'

/**
 * Removes a passkey; with the last second factor go the recovery codes.
 * @throws those of `StepUp.require`, and `not_found`.
 */
export async function removePasskey(
  deps: AddPasskeyDeps,
  session: AccessTokenClaims,
  passkeyId: string,
  proof: { password: string } & FactorProof,
  origin: Origin,
): Promise<void> {
  const { db, stepUp, secondFactors, passkeys, recoveryCodes, outbox, audit, clock } = deps
  const { sub: userId, sid: sessionId } = session
  const { ip, userAgent } = origin
  const event = { type: 'passkey_remove', userId, sessionId } as const
  const user = await stepUp.require(session, proof, origin, 'passkey_remove')
  const removed = await db.$transaction(async (tx) => {
    if (!(await passkeys.remove(tx, userId, passkeyId))) return false
    if ((await secondFactors.methods(tx, userId)).length === 0) await recoveryCodes.clear(tx, userId)
    const change = { change: 'passkey_removed', at: clock.now(), ip, userAgent } as const
    await outbox.enqueue(tx, user.email, { template: 'factor_changed', data: change })
    await audit.record(tx, { ...event, outcome: 'success' }, origin)
    return true
  })
  if (!removed) {
    await audit.record(db, { ...event, outcome: 'failure', reason: 'not_found' }, origin)
    throw new Problem('not_found')
  }
  outbox.wake()
}
