/**
 * Every error a client can meet: its stable code, HTTP status and title.
 * `docs/errors.md` explains each; a test keeps the two equal.
 */
export const problems = {
  validation_failed: [400, 'The request does not have the expected shape'],
  password_too_weak: [400, 'The password is not acceptable'],
  token_invalid: [400, 'The link is wrong, used or expired'],
  passkey_invalid: [400, 'The passkey does not answer the challenge'],
  invalid_credentials: [401, 'The e-mail address or the password is wrong'],
  access_token_invalid: [401, 'The access token is missing, invalid or expired'],
  refresh_token_invalid: [401, 'The refresh token is invalid'],
  session_ended: [401, 'The session has ended'],
  mfa_required: [401, 'A second factor is needed'],
  mfa_invalid: [401, 'The second factor is wrong, used or expired'],
  signature_invalid: [401, 'The signature does not fit'],
  email_not_verified: [403, 'The e-mail address has not been verified'],
  password_reset_required: [403, 'The password has to be reset first'],
  administrators_only: [403, 'This is for administrators'],
  second_factor_needed: [403, 'This needs a sign-in with a second factor'],
  origin_not_allowed: [403, 'The request does not come from an allowed origin'],
  not_found: [404, 'There is nothing here'],
  method_not_allowed: [405, 'This resource does not support that method'],
  refresh_superseded: [409, 'A newer refresh token has been issued'],
  mfa_already_enabled: [409, 'An authenticator app is set up already'],
  too_many_passkeys: [409, 'The account has as many passkeys as it can have'],
  own_account: [409, 'Administrators cannot do this to themselves'],
  body_too_large: [413, 'The request body is too large'],
  unsupported_media_type: [415, 'The content type is not supported'],
  headers_too_large: [431, 'The request headers are too large'],
  too_many_attempts: [429, 'Too many requests'],
  internal_error: [500, 'Something went wrong on our side'],
  unavailable: [503, 'The service cannot answer right now'],
  overloaded: [503, 'The service is busy'],
  revocation_pending: [503, 'The revocation is recorded but has not reached every node yet'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemCode = keyof typeof problems

/** Which cap it was, with `too_many_attempts`. */
export const ATTEMPT_CAPS = ['rate_limited', 'locked', 'locked_until_unlocked'] as const

/** Extension members of a problem document (RFC 9457 §3.2). */
export interface ProblemExtras {
  detail?: string
  /** Why a session ended, with `session_ended`; which cap it was, with `too_many_attempts`. */
  reason?: string
  /** With `mfa_required` at sign-in: proves that the password was right, and which factors would do. */
  mfa_token?: string
  methods?: readonly string[]
  /** What is wrong with a password, with `password_too_weak`. */
  reasons?: readonly string[]
  /** One entry per fault, with `validation_failed`. */
  errors?: readonly { pointer: string; detail: string }[]
  /** Seconds until a retry makes sense; sent as `Retry-After`. */
  retryAfter?: number
}

/** An expected failure, answered as a problem document (RFC 9457). Its message is its code. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly statusCode: number
  readonly extras: ProblemExtras

  constructor(code: ProblemCode, extras: ProblemExtras = {}, options?: ErrorOptions) {
    super(code, options)
    this.name = 'Problem'
    this.code = code
    this.statusCode = problems[code][0]
    this.extras = extras
  }
}
