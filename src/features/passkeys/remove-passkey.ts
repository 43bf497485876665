import type { AccessTokenClaims } from '../../core/access-tokens/access-tokens.ts'
import type { Origin } from '../../core/audit/audit.ts'
import type { FactorProof } from '../../core/second-factor/second-factors.ts'
import { Problem } from '../../platform/problem.ts'
import type { AddPasskeyDeps } from './add-passkey.ts'

/**
 * Removes a passkey; with the last second factor go the recovery codes.
 * @throws `not_found`, those of `StepUp.require`, `invalid_credentials` also when the password changed since.
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
  // Before a factor is used up for nothing.
  const own = await passkeys.list(db, userId)
  if (!own.some(({ id }) => id === passkeyId.toLowerCase())) throw new Problem('not_found')
  const { email, passwordVersion } = await stepUp.require(session, proof, origin, 'passkey_remove')
  await db.$transaction(async (tx) => {
    const [proven] = await tx.$queryRaw<unknown[]>`
      SELECT id FROM users WHERE id = ${userId}::uuid AND password_version = ${passwordVersion}
        AND disabled_at IS NULL FOR UPDATE`
    if (!proven) throw new Problem('invalid_credentials')
    if (!(await passkeys.remove(tx, userId, passkeyId))) throw new Problem('not_found')
    if ((await secondFactors.methods(tx, userId)).length === 0) await recoveryCodes.clear(tx, userId)
    const change = { change: 'passkey_removed', at: clock.now(), ip, userAgent } as const
    await outbox.enqueue(tx, email, { template: 'factor_changed', data: change })
    await audit.record(tx, { type: 'passkey_remove', outcome: 'success', userId, sessionId }, origin)
  })
  outbox.wake()
}
