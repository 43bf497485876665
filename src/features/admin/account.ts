import { Type } from 'typebox'
import { oneOf, presentUser, strict, User } from '../../http/schemas.ts'
import type { User as UserRow } from '../../platform/generated/client.ts'

const Moment = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

/** An account as administrators see it in a list. */
export const Account = Type.Object(
  { ...User.properties, disabled_at: Moment, reset_required_at: Moment },
  strict,
)

/** One account, with what an administrator needs to help its owner. */
export const AccountDetail = Type.Object(
  {
    ...Account.properties,
    live_sessions: Type.Integer(),
    last_sign_in_at: Moment,
    factors: Type.Object({
      totp: Type.Boolean(),
      passkeys: Type.Integer(),
      recovery_codes: Type.Integer({ description: 'How many are left' }),
    }),
    mail: Type.Union([oneOf(['bounced', 'complained']), Type.Null()], {
      description: 'Why no mail goes to the address',
    }),
  },
  strict,
)

/** What to read with a user so that its factors are known. */
export const factorsOf = {
  totpFactor: { select: { confirmedAt: true } },
  _count: { select: { passkeys: true, recoveryCodes: true } },
} as const

interface AccountRow extends UserRow {
  totpFactor: { confirmedAt: Date | null } | null
  _count: { passkeys: number; recoveryCodes: number }
}

export const hasTotp = (row: AccountRow) => Boolean(row.totpFactor?.confirmedAt)

export function presentAccount(row: AccountRow) {
  return {
    ...presentUser(row, hasTotp(row) || row._count.passkeys > 0),
    disabled_at: row.disabledAt?.toISOString() ?? null,
    reset_required_at: row.resetRequiredAt?.toISOString() ?? null,
  }
}
