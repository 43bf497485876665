import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import type { Audit, Origin } from '../../core/events/events.ts'
import type { FactorProof, SecondFactors } from '../../core/factors/factors.ts'
import { tellOwner } from '../../core/factors/notify-owner.ts'
import type { Passkeys } from '../../core/factors/passkeys/passkeys.ts'
import type { RecoveryCodes } from '../../core/factors/recovery-codes.ts'
import type { Totp } from '../../core/factors/totp.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

export interface AddPasskeyDeps {
  db: Database
  stepUp: StepUp
  secondFactors: SecondFactors
  passkeys: Passkeys
  totp: Pick<Totp, 'abandon'>
  recoveryCodes: RecoveryCodes
  outbox: Outbox
  audit: Audit
  clock: Clock
}

/**
 * What the browser needs to make a passkey, once it is clear who asks.
 * @throws those of `StepUp.require`, and `too_many_passkeys`.
 */
export async function offerPasskey(
  deps: AddPasskeyDeps,
  session: AccessTokenClaims,
  proof: { password: string } & FactorProof,
  origin: Origin,
) {
  const user = await deps.stepUp.require(session, proof, origin, 'passkey_add')
  return recordingRefusals(deps, session, origin, () => deps.passkeys.registrationOptions(deps.db, user))
}

/**
 * Keeps a new passkey; with an account's first second factor come its recovery codes.
 * @throws `passkey_invalid`, `too_many_passkeys`, `access_token_invalid`.
 */
export async function addPasskey(
  deps: AddPasskeyDeps,
  session: AccessTokenClaims,
  input: { challengeToken: string; credential: RegistrationResponseJSON; name: string },
  origin: Origin,
) {
  const { db, secondFactors, passkeys, totp, recoveryCodes, outbox, audit } = deps
  const { sub: userId, sid: sessionId } = session
  const added = await recordingRefusals(deps, session, origin, () =>
    db.$transaction(async (tx) => {
      // Two factors at once must not both be the first: the codes of one would void those of the other.
      const [user] = await tx.$queryRaw<{ email: string }[]>`
        SELECT email FROM users WHERE id = ${userId}::uuid AND disabled_at IS NULL FOR UPDATE`
      if (!user) throw new Problem('access_token_invalid')
      const isFirst = (await secondFactors.methods(tx, userId)).length === 0
      const passkey = await passkeys.register(tx, userId, input)
      const codes = isFirst ? await recoveryCodes.replace(tx, userId) : undefined
      // Whoever began that with the password alone would have to show this passkey now.
      if (isFirst) await totp.abandon(tx, userId)
      await tellOwner(deps, tx, user.email, 'passkey_added', origin)
      const success = { outcome: 'success', userId, sessionId } as const
      await audit.record(
        tx,
        [
          { type: 'passkey_add', ...success },
          ...(codes ? [{ type: 'recovery_codes_create', ...success } as const] : []),
        ],
        origin,
      )
      return { passkey, codes }
    }),
  )
  outbox.wake()
  return added
}

async function recordingRefusals<T>(
  { audit, db }: AddPasskeyDeps,
  { sub: userId, sid: sessionId }: AccessTokenClaims,
  origin: Origin,
  task: () => Promise<T>,
): Promise<T> {
  try {
    return await task()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const event = { type: 'passkey_add', outcome: 'failure', reason: error.code, userId, sessionId } as const
    await audit.record(db, event, origin)
    throw error
  }
}
