import type { Queryable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import type { FactorChange, Mail } from '../mail/mail.ts'
import type { PasskeyUse, Tickets } from '../one-time/one-time.ts'
import { Problem } from '../problems/problems.ts'
import { FACTOR_METHODS, type FactorMethod } from '../reasons/reasons.ts'
import type { LockedUser, User, Users } from '../users/users.ts'
import { type AccountFactors, listFactors } from './list.ts'
import { createPasskeys, type PasskeyAnswer, type Passkeys } from './passkeys/passkeys.ts'
import { createRecoveryCodes, type RecoveryCodes } from './recovery-codes.ts'
import { createTotp, type Totp } from './totp.ts'

export {
  type FactorSecrets,
  insertFactorSecrets,
  type PasskeySecrets,
  readFactorSecrets,
  replaceFactorSecrets,
} from './imported.ts'
export { type AccountFactors, describeFactors, listFactors, selectFactors } from './list.ts'
export type { PasskeyAnswer, PasskeyRefusal, Passkeys, PasskeyView } from './passkeys/passkeys.ts'
export type { RecoveryCodes } from './recovery-codes.ts'
export type { Totp } from './totp.ts'

/** Proof of a second factor: exactly one of the three. */
export interface FactorProof {
  /** Six digits from an authenticator app, however they are typed. */
  code?: string | undefined
  recovery_code?: string | undefined
  passkey?: PasskeyAnswer | undefined
}

/** The second factors of an account. An authenticator app or a passkey is one; recovery codes only stand in for it. */
export interface Factors {
  totp: Totp
  passkeys: Passkeys
  recoveryCodes: RecoveryCodes
  /** Which factors an account has. Nothing else answers this question. */
  of(db: Queryable, userId: string): Promise<AccountFactors>
  /** The same for several accounts, by their ids. */
  ofAll(db: Queryable, userIds: readonly string[]): Promise<ReadonlyMap<string, AccountFactors>>
  /**
   * Checks a proof and uses it up: a code, a recovery code and a passkey's answer each work once.
   * @throws `validation_failed` unless it is exactly one.
   */
  verify(
    tx: Transaction,
    user: User,
    proof: FactorProof,
    use: PasskeyUse,
    context: RequestContext,
  ): Promise<VerifiedFactor>
  /** Removes every factor, also an app that is being set up, and the recovery codes. False if no factor was in use. */
  removeAll(tx: Transaction, user: LockedUser): Promise<boolean>
  /** Mails the owner about a change to the account's factors. */
  notifyOwner(
    tx: Transaction,
    user: Pick<User, 'email'>,
    change: FactorChange,
    context: RequestContext,
  ): Promise<void>
}

/** The method that was right; or null, and what to record once the transaction is over, even if it is rolled back. */
export type VerifiedFactor = { method: FactorMethod } | { method: null; events: readonly AuditEvent[] }

/** The methods accepted as the second factor, in the order to offer them; empty without one. */
export const methodsOf = (factors: AccountFactors): FactorMethod[] => {
  // Recovery codes replace a lost factor; an account without one needs none.
  if (!hasSecondFactor(factors)) return []
  const has = { totp: factors.totp, passkey: factors.passkeys > 0, recovery_code: factors.recoveryCodes > 0 }
  return FACTOR_METHODS.filter((method) => has[method])
}

export const hasSecondFactor = ({ totp, passkeys }: AccountFactors): boolean => totp || passkeys > 0

export interface FactorsOptions {
  /** The name of the service that users see. */
  appName: string
  /** The domain that passkeys belong to, and the origins that may use them. */
  passkeys: { rpId: string; origins: readonly string[] }
}

export function openFactors(
  deps: UsesPlatform<'secrets' | 'clock'> & {
    users: Users
    tickets: Tickets
    mail: Pick<Mail, 'enqueue'>
    events: Pick<Events, 'record'>
  },
  { appName, passkeys: relyingParty }: FactorsOptions,
): Factors {
  const { clock, mail } = deps
  const totp = createTotp({ ...deps, appName })
  const recoveryCodes = createRecoveryCodes(clock)
  const passkeys = createPasskeys({ ...deps, rpName: appName, ...relyingParty })

  return {
    totp,
    passkeys,
    recoveryCodes,
    ofAll: listFactors,
    async of(db, userId) {
      const found = await listFactors(db, [userId])
      return found.get(userId) ?? { totp: false, passkeys: 0, recoveryCodes: 0 }
    },
    async verify(tx, user, { code, recovery_code: recoveryCode, passkey }, use, context) {
      if ([code, recoveryCode, passkey].filter((shown) => shown !== undefined).length !== 1) {
        const detail = 'needs exactly one of code, recovery_code, passkey'
        throw new Problem('validation_failed', { errors: [{ pointer: '', detail }] })
      }
      if (passkey !== undefined) {
        const answered = await passkeys.verify(tx, passkey, { use, userId: user.id }, context)
        if ('refused' in answered) return { method: null, events: answered.refused.events }
        return { method: 'passkey' }
      }
      const isRight =
        code === undefined
          ? await recoveryCodes.use(tx, user.id, recoveryCode ?? '')
          : await totp.verify(tx, user.id, code)
      if (!isRight) return { method: null, events: [] }
      return { method: code === undefined ? 'recovery_code' : 'totp' }
    },
    async removeAll(tx, user) {
      const app = await tx.totpFactor.findUnique({
        where: { userId: user.id },
        select: { confirmedAt: true },
      })
      await tx.totpFactor.deleteMany({ where: { userId: user.id } })
      const { count } = await tx.passkey.deleteMany({ where: { userId: user.id } })
      await recoveryCodes.clear(tx, user)
      return count > 0 || app?.confirmedAt != null
    },
    async notifyOwner(tx, user, change, context) {
      const data = { change, at: clock.now(), ip: context.ip, userAgent: context.userAgent }
      await mail.enqueue(tx, user, { template: 'factor_changed', data }, context)
    },
  }
}
