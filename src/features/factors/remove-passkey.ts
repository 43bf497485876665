import type { Origin } from '../../core/events/events.ts'
import type { FactorProof } from '../../core/factors/factors.ts'
import { tellOwner } from '../../core/factors/notify-owner.ts'
import type { Totp } from '../../core/factors/totp.ts'
import type { PasswordPolicy } from '../../core/passwords/password-policy.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import { lockUser } from '../../core/users/users.ts'
import type { AddPasskeyDeps } from './add-passkey.ts'

export interface RemovePasskeyDeps extends AddPasskeyDeps {
  totp: Pick<Totp, 'enabled' | 'abandon'>
  passwordPolicy: Pick<PasswordPolicy, 'checkLength'>
}

/**
 * Removes a passkey; with the last second factor go the recovery codes.
 * @throws `not_found`, `password_too_weak` (the last factor, and a password that needs one), those of `StepUp.require`, `invalid_credentials` also when the password changed since.
 */
export async function removePasskey(
  deps: RemovePasskeyDeps,
  session: AccessTokenClaims,
  passkeyId: string,
  proof: { password: string } & FactorProof,
  origin: Origin,
): Promise<void> {
  const { db, stepUp, totp, passwordPolicy, secondFactors, passkeys, recoveryCodes, outbox, audit } = deps
  const { sub: userId, sid: sessionId } = session
  // Before a factor is used up for nothing.
  const own = await passkeys.list(db, userId)
  if (!own.some(({ id }) => id === passkeyId.toLowerCase())) throw new Problem('not_found')
  const isLast = own.length === 1 && !(await totp.enabled(db, userId))
  if (isLast) passwordPolicy.checkLength(proof.password)
  const user = await stepUp.require(session, proof, origin, 'passkey_remove')
  await db.$transaction(async (tx) => {
    await lockUser(tx, user)
    if (!(await passkeys.remove(tx, userId, passkeyId))) throw new Problem('not_found')
    if ((await secondFactors.methods(tx, userId)).length === 0) {
      // The last one after all: the other went a moment ago.
      passwordPolicy.checkLength(proof.password)
      await recoveryCodes.clear(tx, userId)
    }
    await tellOwner(deps, tx, user.email, 'passkey_removed', origin)
    await audit.record(tx, { type: 'passkey_remove', outcome: 'success', userId, sessionId }, origin)
  })
  outbox.wake()
}
