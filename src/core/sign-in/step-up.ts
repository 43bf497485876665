import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import type { User } from '../../platform/generated/client.ts'
import type { Audit, AuditEvent, Origin } from '../events/events.ts'
import type { FactorProof, SecondFactors } from '../factors/factors.ts'
import { tellOwner } from '../factors/notify-owner.ts'
import type { Guess, Lockout } from '../lockout/lockout.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { Passwords } from '../passwords/passwords.ts'
import { Problem } from '../problems/problems.ts'

/** Whose session it is. */
interface Session {
  sub: string
  sid: string
}

/** Proving again who is there, before something that a borrowed session must not do. */
export interface StepUp {
  /**
   * The password alone. `type` is the event that a failure is recorded as.
   * @throws `invalid_credentials`, `too_many_attempts`, `overloaded`.
   */
  password(session: Session, password: string, origin: Origin, type?: AuditEvent['type']): Promise<User>
  /**
   * The password and, where the account has one, a second factor.
   * @throws those of `password`, and `mfa_required` with the methods that would do, `mfa_invalid`.
   */
  require(
    session: Session,
    proof: { password: string } & FactorProof,
    origin: Origin,
    type?: AuditEvent['type'],
  ): Promise<User>
}

export interface StepUpDeps {
  db: Database
  passwords: Passwords
  secondFactors: SecondFactors
  lockout: Lockout
  audit: Audit
  outbox: Pick<Outbox, 'enqueue'>
  clock: Clock
}

export function createStepUp(deps: StepUpDeps): StepUp {
  const { db, passwords, secondFactors, lockout, audit } = deps

  /** Runs a check as a guess at this account. Whoever holds a session of it shares one count with all who do. */
  async function guess<T extends object>(
    { sub: account, sid: sessionId }: Session,
    check: () => Promise<T | null>,
    wrong: { type: AuditEvent['type']; reason: string; code: 'invalid_credentials' | 'mfa_invalid' },
    origin: Origin,
  ): Promise<T> {
    // Apart from each other: a right password must not clear the count of wrong factors.
    const what: Guess['what'] = wrong.code === 'mfa_invalid' ? 'step_up_factor' : 'step_up'
    const right = await lockout.guess({ what, account, owner: account, origin, device: null }, check)
    if (right !== null) return right
    const { type, reason, code } = wrong
    await audit.record(db, { type, outcome: 'failure', reason, userId: account, sessionId }, origin)
    throw new Problem(code)
  }

  async function password(
    session: Session,
    candidate: string,
    origin: Origin,
    type: AuditEvent['type'] = 'step_up',
  ): Promise<User> {
    const check = async () => {
      const user = await db.user.findUnique({ where: { id: session.sub } })
      const fits = await passwords.verify(user?.passwordHash ?? null, candidate)
      return user && fits && !user.disabledAt ? user : null
    }
    return guess(session, check, { type, reason: 'wrong_password', code: 'invalid_credentials' }, origin)
  }

  return {
    password,
    async require(session, { password: candidate, ...proof }, origin, type = 'step_up') {
      const user = await password(session, candidate, origin, type)
      const methods = await secondFactors.methods(db, user.id)
      if (methods.length === 0) return user
      if (Object.values(proof).every((shown) => shown === undefined)) {
        throw new Problem('mfa_required', { methods })
      }
      const check = async () => {
        const by = await db.$transaction(async (tx) => {
          const method = await secondFactors.verify(tx, user.id, proof, 'step_up')
          if (method === 'recovery_code') await tellOwner(deps, tx, user.email, 'recovery_code_used', origin)
          return method
        })
        return by ? user : null
      }
      return guess(session, check, { type, reason: 'wrong_factor', code: 'mfa_invalid' }, origin)
    },
  }
}
