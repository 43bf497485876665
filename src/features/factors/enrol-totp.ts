import type { Origin } from '../../core/events/events.ts'
import type { FactorProof } from '../../core/factors/factors.ts'
import type { Totp } from '../../core/factors/totp.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import { lockUser } from '../../core/users/users.ts'
import type { Database } from '../../platform/database.ts'

export interface EnrolTotpDeps {
  db: Database
  stepUp: StepUp
  totp: Totp
}

/**
 * Hands out a secret; it counts once a code of it was confirmed.
 * @throws `mfa_already_enabled`, and what a step-up throws.
 */
export async function enrolTotp(
  deps: EnrolTotpDeps,
  session: AccessTokenClaims,
  proof: { password: string } & FactorProof,
  origin: Origin,
): Promise<{ secret: string; otpauthUri: string; qrSvg: string }> {
  const { db, stepUp, totp } = deps
  // Before a factor is used up for nothing.
  if (await totp.enabled(db, session.sub)) throw new Problem('mfa_already_enabled')
  const user = await stepUp.require(session, proof, origin, 'totp_enable')
  const enrolment = await db.$transaction(async (tx) => {
    await lockUser(tx, user)
    return totp.enrol(tx, user)
  })
  if (!enrolment) throw new Problem('mfa_already_enabled')
  return enrolment
}
