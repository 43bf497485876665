import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

export type EnrolTotpUses = Uses<'db' | 'transact' | 'factors' | 'stepUp'>

/**
 * Creates the secret of an authenticator app. It takes effect once a code from it was confirmed.
 * @throws `mfa_already_enabled`, and what a step-up throws.
 */
export async function enrolTotp(
  { db, transact, factors, stepUp }: EnrolTotpUses,
  principal: UserPrincipal,
  proof: StepUpProof,
  context: RequestContext,
): Promise<{ secret: string; otpauthUri: string; qrSvg: string }> {
  await stepUp.requireShape(principal, proof)
  // Checked first, so that no factor is used up for nothing.
  if ((await factors.of(db, principal.userId)).totp) throw new Problem('mfa_already_enabled')
  const user = await stepUp.require(principal, proof, context, 'totp_enable')
  const enrolment = await transact(async (tx) => factors.totp.enrol(tx, await stepUp.lock(tx, user)))
  if (!enrolment) throw new Problem('mfa_already_enabled')
  return enrolment
}
