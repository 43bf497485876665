import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import type { ReasonOf, RequestContext } from '../../core/events/events.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { isProblem, Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

export type AddPasskeyUses = Uses<'db' | 'transact' | 'users' | 'factors' | 'stepUp' | 'events'>

/**
 * Checks a step-up and returns what the browser needs to create a passkey.
 * @throws those of `StepUp.require`, and `too_many_passkeys`.
 */
export async function offerPasskey(
  uses: AddPasskeyUses,
  principal: UserPrincipal,
  proof: StepUpProof,
  context: RequestContext,
) {
  const { db, factors, stepUp } = uses
  const user = await stepUp.require(principal, proof, context, 'passkey_add')
  return recordingRefusals(uses, principal, context, () => factors.passkeys.registrationOptions(db, user))
}

/**
 * Stores a new passkey. If it is the account's first second factor, also creates recovery codes.
 * @throws `passkey_invalid`, `too_many_passkeys`, `access_token_invalid`.
 */
export function addPasskey(
  uses: AddPasskeyUses,
  principal: UserPrincipal,
  input: { challengeToken: string; credential: RegistrationResponseJSON; name: string },
  context: RequestContext,
) {
  const { transact, users, factors, events } = uses
  const { userId, sessionId } = principal
  return recordingRefusals(uses, principal, context, () =>
    transact(async (tx) => {
      // Locked, so that two factors added at once are not both the first: each would replace the other's codes.
      const user = await users.lock(tx, userId)
      if (!user) throw new Problem('access_token_invalid')
      const isFirst = !hasSecondFactor(await factors.of(tx, userId))
      const passkey = await factors.passkeys.register(tx, user, input)
      const codes = isFirst ? await factors.recoveryCodes.replace(tx, user) : undefined
      // An enrolment that began without this factor would no longer pass the step-up.
      if (isFirst) await factors.totp.abandon(tx, user)
      await factors.notifyOwner(tx, user, 'passkey_added', context)
      const success = { outcome: 'success', userId, sessionId } as const
      await events.record(tx, { type: 'passkey_add', ...success }, context)
      if (codes) await events.record(tx, { type: 'recovery_codes_create', ...success }, context)
      return { passkey, codes }
    }),
  )
}

const RECORDED = ['passkey_invalid', 'too_many_passkeys', 'access_token_invalid'] as const satisfies ReasonOf<
  'passkey_add',
  'failure'
>[]

async function recordingRefusals<T>(
  { events, db }: AddPasskeyUses,
  { userId, sessionId }: UserPrincipal,
  context: RequestContext,
  task: () => Promise<T>,
): Promise<T> {
  try {
    return await task()
  } catch (error) {
    const reason = RECORDED.find((code) => isProblem(error, code))
    if (reason) {
      const event = { type: 'passkey_add', outcome: 'failure', reason, userId, sessionId } as const
      await events.record(db, event, context)
    }
    throw error
  }
}
