import type { Queryable } from '../../platform/database.ts'
import type { PasskeyUse } from '../one-time/tickets.ts'
import { Problem } from '../problems/problems.ts'
import type { PasskeyAnswer, Passkeys } from './passkeys/passkeys.ts'
import type { RecoveryCodes } from './recovery-codes.ts'
import type { Totp } from './totp.ts'

/** In the order to offer. */
export const FACTOR_METHODS = ['totp', 'passkey', 'recovery_code'] as const
export type FactorMethod = (typeof FACTOR_METHODS)[number]

/** What a person shows as a second factor; exactly one of the three. */
export interface FactorProof {
  /** Six digits of an authenticator app. */
  code?: string | undefined
  recovery_code?: string | undefined
  passkey?: PasskeyAnswer | undefined
}

/** Whichever second factors an account has. An account has one as soon as it has an authenticator app or a passkey. */
export interface SecondFactors {
  /** What would do, in the order to offer; empty without a second factor. */
  methods(db: Queryable, userId: string): Promise<FactorMethod[]>
  /**
   * Checks a proof and uses it up: a code, a recovery code and a passkey's answer each work once.
   * Null when it does not fit. @throws `validation_failed` when it is not exactly one.
   */
  verify(tx: Queryable, userId: string, proof: FactorProof, use: PasskeyUse): Promise<FactorMethod | null>
}

export function createSecondFactors(deps: {
  totp: Totp
  recoveryCodes: RecoveryCodes
  passkeys: Passkeys
}): SecondFactors {
  const { totp, recoveryCodes, passkeys } = deps
  return {
    async methods(db, userId) {
      // One question, for every sign-in asks it.
      const [has] = await db.$queryRaw<Record<FactorMethod, boolean>[]>`
        SELECT EXISTS (SELECT FROM totp_factors WHERE user_id = u.id AND confirmed_at IS NOT NULL) AS totp,
          EXISTS (SELECT FROM passkeys WHERE user_id = u.id) AS passkey,
          EXISTS (SELECT FROM recovery_codes WHERE user_id = u.id) AS recovery_code
        FROM (SELECT ${userId}::uuid AS id) u`
      // Recovery codes stand in for a factor; without one they are nothing.
      if (!has || !(has.totp || has.passkey)) return []
      return FACTOR_METHODS.filter((method) => has[method])
    },

    async verify(tx, userId, { code, recovery_code: recoveryCode, passkey }, use) {
      if ([code, recoveryCode, passkey].filter((shown) => shown !== undefined).length !== 1) {
        const detail = 'needs exactly one of code, recovery_code, passkey'
        throw new Problem('validation_failed', { errors: [{ pointer: '', detail }] })
      }
      if (code !== undefined) return (await totp.verify(tx, userId, code)) ? 'totp' : null
      if (recoveryCode !== undefined) {
        return (await recoveryCodes.use(tx, userId, recoveryCode)) ? 'recovery_code' : null
      }
      const by = passkey ? await passkeys.verify(tx, passkey, { use, userId }) : null
      return by ? 'passkey' : null
    },
  }
}
