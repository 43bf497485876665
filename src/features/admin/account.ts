import { Type } from 'typebox'
import type { FactorReset } from '../../core/factor-resets/factor-resets.ts'
import { type AccountFactors, hasSecondFactor } from '../../core/factors/factors.ts'
import type { User as StoredUser } from '../../core/users/users.ts'
import { oneOf, presentUser, strict, User } from '../../http/schemas.ts'

const Moment = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

/** An account as administrators see it in a list. */
export const Account = Type.Object(
  {
    ...User.properties,
    disabled_at: Moment,
    reset_required_at: Moment,
    factors_reset_at: Type.Union(Moment.anyOf, {
      description: 'When the second factors are removed, if an administrator has asked for that',
    }),
  },
  { ...strict, title: 'Account' },
)

/** One account, with the details that an administrator needs to help its owner. */
export const AccountDetail = Type.Object(
  {
    ...Account.properties,
    live_sessions: Type.Integer(),
    last_sign_in_at: Moment,
    factors: Type.Object({
      totp: Type.Boolean(),
      passkeys: Type.Integer(),
      recovery_codes: Type.Integer({ description: 'The number of unused codes' }),
    }),
    mail: Type.Union([oneOf(['bounced', 'complained']), Type.Null()], {
      description: 'Why mail to the address is suppressed',
    }),
    metadata: Type.Union([Type.Object({}, { additionalProperties: true }), Type.Null()], {
      description: 'What the former system knew of an imported account',
    }),
  },
  { ...strict, title: 'AccountDetail' },
)

export function presentAccount(
  user: StoredUser,
  factors: AccountFactors | undefined,
  reset: FactorReset | undefined,
) {
  return {
    ...presentUser(user, factors !== undefined && hasSecondFactor(factors)),
    disabled_at: user.disabledAt?.toISOString() ?? null,
    reset_required_at: user.resetRequiredAt?.toISOString() ?? null,
    factors_reset_at: reset?.effectiveAt.toISOString() ?? null,
  }
}
