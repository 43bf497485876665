import { clientKey } from '../../platform/client-key.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { AuditEvent, Events, EventType, ReasonOf, RequestContext } from '../events/events.ts'
import { type FactorProof, type Factors, methodsOf } from '../factors/factors.ts'
import type { Guess, Lockout } from '../lockout/lockout.ts'
import type { Passwords } from '../passwords/passwords.ts'
import type { UserPrincipal } from '../principals/principals.ts'
import { Problem } from '../problems/problems.ts'
import type { LockedUser, User, Users } from '../users/users.ts'

/** The types of event that can record a wrong proof. */
export type StepUpEvent = {
  [T in EventType]: 'wrong_password' extends ReasonOf<T, 'failure'>
    ? 'wrong_factor' extends ReasonOf<T, 'failure'>
      ? T
      : never
    : never
}[Exclude<EventType, 'login'>]

/** The proofs of a step-up; the password if the account has one. */
export type StepUpProof = { password?: string | undefined } & FactorProof

/** Asks for proof of identity again, before actions that a stolen session must not allow. */
export interface StepUp {
  /**
   * Checks the password alone. `type` is the type of event that records a failure.
   * @throws `invalid_credentials`, `too_many_attempts`, {Overloaded}.
   */
  password(
    principal: UserPrincipal,
    password: string,
    context: RequestContext,
    type?: StepUpEvent,
  ): Promise<User>
  /**
   * Checks what the account has: its password and, if there is one, a second factor. An account with neither is
   * refused.
   * @throws those of `password`, `validation_failed` for a password that is missing, `mfa_required` with the methods
   * that are accepted, `mfa_invalid`.
   */
  require(
    principal: UserPrincipal,
    proof: StepUpProof,
    context: RequestContext,
    type?: StepUpEvent,
  ): Promise<User>
  /**
   * Refuses a proof without the password of an account that has one, as a shape that is wrong: before anything else is
   * looked at. @throws `validation_failed`.
   */
  requireShape(principal: UserPrincipal, proof: StepUpProof): Promise<void>
  /**
   * Accepts a sign-in that has just proven all that `require` asks for, where a call cannot carry a proof.
   * @throws `insufficient_user_authentication`, `access_token_invalid`.
   */
  requireRecent(principal: UserPrincipal): Promise<User>
  /** Locks the user who was proven. @throws `invalid_credentials` if the user has changed since, or is gone. */
  lock(tx: Transaction, user: User): Promise<LockedUser>
}

export interface StepUpDeps extends UsesPlatform<'db' | 'transact' | 'clock'> {
  users: Users
  passwords: Passwords
  factors: Factors
  lockout: Lockout
  events: Events
}

/** Seconds for which a sign-in counts as recent. */
const RECENT = 300

const PASSWORD_MISSING = {
  detail: 'The body is not valid.',
  errors: [{ pointer: '/password', detail: "must have required property 'password'" }],
}

export function createStepUp(deps: StepUpDeps): StepUp {
  const { db, transact, clock, users, passwords, factors, lockout, events } = deps

  /** Runs a check as a guess at this account. All of its sessions share one count. */
  async function guess<T extends object>(
    { userId, sessionId }: UserPrincipal,
    check: (record: (events: readonly AuditEvent[]) => void) => Promise<T | null>,
    wrong: {
      type: StepUpEvent
      reason: 'wrong_password' | 'wrong_factor'
      code: 'invalid_credentials' | 'mfa_invalid'
    },
    context: RequestContext,
  ): Promise<T> {
    // Separate counts: a right password must not clear the count of wrong factors.
    const what: Guess['what'] = wrong.code === 'mfa_invalid' ? 'step_up_factor' : 'step_up'
    const guessed = { what, account: userId, owner: userId, context, device: null }
    const faults: AuditEvent[] = []
    const right = await lockout.guess(guessed, () => check((found) => void faults.push(...found)))
    if (right !== null) return right
    const { type, reason, code } = wrong
    await events.record(db, [...faults, { type, outcome: 'failure', reason, userId, sessionId }], context)
    throw new Problem(code)
  }

  function password(
    principal: UserPrincipal,
    candidate: string,
    context: RequestContext,
    type: StepUpEvent = 'step_up',
  ): Promise<User> {
    const check = async () => {
      const user = await users.find(db, principal.userId)
      const fits = await passwords.verify(user?.passwordHash ?? null, candidate, clientKey(context.ip))
      return user && fits && !user.disabledAt ? user : null
    }
    const wrong = { type, reason: 'wrong_password', code: 'invalid_credentials' } as const
    return guess(principal, check, wrong, context)
  }

  async function requireShape({ userId }: UserPrincipal, proof: StepUpProof): Promise<void> {
    if (proof.password !== undefined) return
    const user = await users.find(db, userId)
    if (user && user.passwordHash !== null) throw new Problem('validation_failed', PASSWORD_MISSING)
  }

  /** Returns the user, after checking the password if the account has one. */
  async function knownUser(
    principal: UserPrincipal,
    candidate: string | undefined,
    context: RequestContext,
    type: StepUpEvent,
  ): Promise<User> {
    if (candidate !== undefined) return password(principal, candidate, context, type)
    await requireShape(principal, {})
    const user = await users.find(db, principal.userId)
    if (!user || user.disabledAt) throw new Problem('invalid_credentials')
    return user
  }

  return {
    password,
    requireShape,
    async require(principal, { password: candidate, ...proof }, context, type = 'step_up') {
      const user = await knownUser(principal, candidate, context, type)
      const methods = methodsOf(await factors.of(db, user.id))
      if (methods.length === 0) {
        if (candidate === undefined) throw new Problem('invalid_credentials')
        return user
      }
      if (Object.values(proof).every((shown) => shown === undefined)) {
        throw new Problem('mfa_required', { methods })
      }
      const check = async (record: (events: readonly AuditEvent[]) => void) => {
        const verified = await transact(async (tx) => {
          const verified = await factors.verify(tx, user, proof, 'step_up', context)
          if (verified.method === 'recovery_code') {
            await factors.notifyOwner(tx, user, 'recovery_code_used', context)
          }
          return verified
        })
        if (verified.method !== null) return user
        record(verified.events)
        return null
      }
      return guess(principal, check, { type, reason: 'wrong_factor', code: 'mfa_invalid' }, context)
    },
    async requireRecent({ userId, authTime, amr }) {
      const user = await users.find(db, userId)
      if (!user || user.disabledAt) throw new Problem('access_token_invalid')
      const isRecent = clock.now() / 1000 - authTime <= RECENT
      // The factor may have been set up since.
      const isFull = amr.includes('mfa') || methodsOf(await factors.of(db, userId)).length === 0
      if (!isRecent || !isFull) throw new Problem('insufficient_user_authentication', { max_age: RECENT })
      return user
    },
    async lock(tx, { id, securityVersion }) {
      const locked = await users.lock(tx, id, { securityVersion })
      if (!locked) throw new Problem('invalid_credentials')
      return locked
    },
  }
}
