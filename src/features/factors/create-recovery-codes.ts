import type { Audit, Origin } from '../../core/events/events.ts'
import type { FactorProof } from '../../core/factors/factors.ts'
import { hasSecondFactor } from '../../core/factors/has-second-factor.ts'
import { tellOwner } from '../../core/factors/notify-owner.ts'
import type { RecoveryCodes } from '../../core/factors/recovery-codes.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import { lockUser } from '../../core/users/users.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

export interface CreateRecoveryCodesDeps {
  db: Database
  stepUp: StepUp
  recoveryCodes: RecoveryCodes
  outbox: Outbox
  audit: Audit
  clock: Clock
}

/**
 * Ten new recovery codes in place of the old ones.
 * @throws `not_found` without a second factor to recover from, and what a step-up throws.
 */
export async function createRecoveryCodes(
  deps: CreateRecoveryCodesDeps,
  session: AccessTokenClaims,
  proof: { password: string } & FactorProof,
  origin: Origin,
): Promise<string[]> {
  const { db, stepUp, recoveryCodes, outbox, audit } = deps
  if (!(await hasSecondFactor(db, session.sub))) throw new Problem('not_found')
  const user = await stepUp.require(session, proof, origin, 'recovery_codes_create')
  const codes = await db.$transaction(async (tx) => {
    await lockUser(tx, user)
    if (!(await hasSecondFactor(tx, user.id))) throw new Problem('not_found')
    const fresh = await recoveryCodes.replace(tx, user.id)
    await tellOwner(deps, tx, user.email, 'recovery_codes_created', origin)
    await audit.record(
      tx,
      { type: 'recovery_codes_create', outcome: 'success', userId: user.id, sessionId: session.sid },
      origin,
    )
    return fresh
  })
  outbox.wake()
  return codes
}
