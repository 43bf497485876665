import type { Circumstances } from './facts.ts'

/** The data of each mail. `minutes` is how long its link works: the mail is not sent after that. */
export interface Templates {
  /** Everything that waits for a confirmation; the first of the links expires in `minutes`. */
  confirm_registration: {
    registrations: readonly (Circumstances & { link: string })[]
    minutes: number
  }
  /** Queued by the previous version only. */
  verify_email: { link: string; minutes: number }
  already_registered: { resetLink: string }
  /** `isNew` if there is only a registration yet, and the new password makes the account. */
  reset_password: { link: string; minutes: number; ip?: string | undefined; isNew?: boolean | undefined }
  /** `at` is in milliseconds since the epoch, here and below. `factors`: the factors that the account still has. */
  password_changed: { at: number; ip?: string | undefined; factors?: Factors | undefined }
  /** `isClient` if it was a session of a third party; `client` is what to call that, if it can be named. */
  refresh_reuse_detected: {
    at: number
    ip?: string | undefined
    userAgent?: string | undefined
    isClient?: boolean
    client?: string | undefined
  }
  account_deleted: { at: number }
  /** `everywhere`: the lasting cap, which does not expire. `passwordKnown`: the guesses were at the second factor. */
  account_locked: Circumstances & {
    link: string
    resetLink: string
    minutes: number
    everywhere: boolean
    passwordKnown: boolean
  }
  new_device: Circumstances
  confirm_email_change: { link: string; minutes: number; oldEmail: string }
  email_change_taken: { oldEmail: string }
  email_change_requested: Circumstances & { newEmail: string }
  email_changed: Circumstances & { newEmail: string }
  factor_changed: Circumstances & { change: FactorChange }
  reset_required: { link: string; minutes: number }
  account_exported: Circumstances
  /** `effectiveAt`: when the factors are removed, in milliseconds since the epoch. */
  factors_reset_requested: { link: string; at: number; effectiveAt: number }
  factors_reset: { at: number }
}

export interface Factors {
  totp: boolean
  passkeys: number
}

/** A change to the factors of an account. */
export type FactorChange =
  | 'totp_enabled'
  | 'totp_disabled'
  | 'passkey_added'
  | 'passkey_removed'
  | 'recovery_codes_created'
  | 'recovery_code_used'
  | 'factors_kept'

export type MailTemplate = keyof Templates
export type MailData<T extends MailTemplate> = Templates[T]
/** A template with the data it needs. */
export type MailContent = { [T in MailTemplate]: { template: T; data: Templates[T] } }[MailTemplate]

/**
 * Whether a mail says everything that an earlier one of its template to the same recipient says, so that it can take the
 * place of one that has not left yet. Notices are about one event each, and a change of address is about one account.
 */
export const REPLACES: Record<MailTemplate, boolean> = {
  verify_email: true,
  already_registered: true,
  reset_password: true,
  reset_required: true,
  account_locked: false,
  confirm_email_change: false,
  password_changed: false,
  refresh_reuse_detected: false,
  account_deleted: false,
  new_device: false,
  email_change_taken: false,
  email_change_requested: false,
  email_changed: false,
  factor_changed: false,
  // Each has the links of its own registrations.
  confirm_registration: false,
  account_exported: false,
  factors_reset_requested: false,
  factors_reset: false,
}
