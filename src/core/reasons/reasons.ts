// The fixed sets of values that problems, audit events and the API documentation share.

/** Why a session was revoked; the list of sessions shows it to the user. */
export const ENDED_REASONS = [
  'logout',
  'logout_all',
  'revoked',
  'signed_in_again',
  'too_many_sessions',
  'password_changed',
  'password_reset',
  'account_deleted',
  'account_disabled',
  'ended_by_administrator',
  'reset_required',
  'role_changed',
  'factors_reset',
  'grant_withdrawn',
  'code_reused',
  'token_revoked',
  'reuse_detected',
  'backup_restored',
] as const
export type EndedReason = (typeof ENDED_REASONS)[number]

/** Why a refresh token no longer works: its session was revoked, has expired, or is no longer known. */
export const SESSION_ENDED_REASONS = [...ENDED_REASONS, 'expired', 'unknown'] as const
export type SessionEndedReason = (typeof SESSION_ENDED_REASONS)[number]

/** Which cap was reached, with `too_many_attempts`. */
export const ATTEMPT_CAPS = ['rate_limited', 'locked', 'locked_until_unlocked'] as const
export type AttemptCap = (typeof ATTEMPT_CAPS)[number]

/** The methods that serve as a second factor, in the order to offer them. */
export const FACTOR_METHODS = ['totp', 'passkey', 'recovery_code'] as const
export type FactorMethod = (typeof FACTOR_METHODS)[number]

/**
 * Why the answer of a passkey that the server knows was refused. All but the first two are told by an answer that the
 * passkey did sign.
 */
export const PASSKEY_FAULTS = [
  'malformed',
  'wrong_signature',
  'wrong_account',
  'wrong_challenge',
  'wrong_origin',
  'wrong_domain',
  'user_not_present',
  'user_not_verified',
  'wrong_user_handle',
  'counter_not_risen',
] as const
export type PasskeyFault = (typeof PASSKEY_FAULTS)[number]

/** What is wrong with a password. */
export const PASSWORD_FAULTS = [
  'too_short',
  'too_long',
  'same_as_email',
  'same_as_before',
  'based_on_email',
  'based_on_app_name',
  'easily_guessed',
  'common',
  'breached',
] as const
export type PasswordFault = (typeof PASSWORD_FAULTS)[number]

/** Reads a stored reason. A newer release may have written one that this one does not know: that is `unknown`. */
export function toSessionEndedReason(text: string): SessionEndedReason {
  return (SESSION_ENDED_REASONS as readonly string[]).includes(text)
    ? (text as SessionEndedReason)
    : 'unknown'
}
