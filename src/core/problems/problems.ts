import type { AttemptCap, FactorMethod, PasswordFault, SessionEndedReason } from '../reasons/reasons.ts'

/**
 * Every error that a client can get: its stable code, HTTP status and title.
 * `docs/errors.md` explains each one; a test compares the two.
 */
export const problems = {
  validation_failed: [400, 'The request does not have the expected shape'],
  password_too_weak: [400, 'The password is not acceptable'],
  token_invalid: [400, 'The link is wrong or no longer valid'],
  token_used: [400, 'The link has been used'],
  invalid_request: [400, 'The request is not valid'],
  invalid_grant: [400, 'The grant is not valid'],
  unauthorized_client: [400, 'The client may not use this grant'],
  unsupported_grant_type: [400, 'The grant type is not supported'],
  invalid_scope: [400, 'The scope is not allowed'],
  unsupported_token_type: [400, 'Tokens of this kind cannot be revoked'],
  invalid_target: [400, 'The resource is not allowed'],
  authorization_pending: [400, 'The user has not answered yet'],
  slow_down: [400, 'The device asks too often'],
  access_denied: [400, 'The user has refused'],
  expired_token: [400, 'The device code has expired'],
  invalid_redirect_uri: [400, 'A redirect URI is not allowed'],
  invalid_client_metadata: [400, 'The metadata of the client is not allowed'],
  invalid_dpop_proof: [400, 'The DPoP proof is not valid'],
  use_dpop_nonce: [400, 'The DPoP proof needs a nonce of this server'],
  passkey_invalid: [400, 'The passkey could not be verified'],
  passkey_unknown: [400, 'No account has this passkey'],
  invalid_credentials: [401, 'The e-mail address or the password is wrong'],
  access_token_invalid: [401, 'The access token is missing or invalid'],
  access_token_expired: [401, 'The access token has expired'],
  refresh_token_invalid: [401, 'The refresh token is invalid'],
  session_ended: [401, 'The session has ended'],
  insufficient_user_authentication: [401, 'This needs a recent sign-in'],
  mfa_required: [401, 'A second factor is needed'],
  mfa_invalid: [401, 'The second factor is wrong, used or expired'],
  invalid_client: [401, 'The client could not be authenticated'],
  signature_invalid: [401, 'The signature is not valid'],
  email_not_verified: [403, 'The e-mail address has not been verified'],
  registration_proof_required: [403, 'The link needs a proof of who registered'],
  password_reset_required: [403, 'The password has to be reset first'],
  administrators_only: [403, 'Only administrators can do this'],
  second_factor_needed: [403, 'This needs a sign-in with a second factor'],
  insufficient_scope: [403, 'The access token does not have the scope'],
  command_line_only: [403, 'Only the command line can do this'],
  origin_not_allowed: [403, 'The request does not come from an allowed origin'],
  not_found: [404, 'Not found'],
  method_not_allowed: [405, 'This resource does not support that method'],
  request_timeout: [408, 'The request did not arrive in time'],
  refresh_superseded: [409, 'A newer refresh token has been issued'],
  mfa_already_enabled: [409, 'An authenticator app is already set up'],
  too_many_passkeys: [409, 'The account cannot have more passkeys'],
  own_account: [409, 'Administrators cannot do this to themselves'],
  no_factors: [409, 'The account has no second factor'],
  resource_exists: [409, 'There is such a resource already'],
  signing_key_waits: [409, 'The key of this algorithm does not sign yet'],
  body_too_large: [413, 'The request body is too large'],
  unsupported_media_type: [415, 'The content type is not supported'],
  host_not_allowed: [421, 'The server does not answer to this host'],
  headers_too_large: [431, 'The request headers are too large'],
  too_many_attempts: [429, 'Too many requests'],
  internal_error: [500, 'Something went wrong on our side'],
  unavailable: [503, 'The service is temporarily unavailable'],
  overloaded: [503, 'The service is busy'],
  revocation_pending: [503, 'The revocation is recorded but has not reached every node yet'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemCode = keyof typeof problems

/** Members that every problem may have (RFC 9457 §3.1). */
interface CommonMembers {
  /** An explanation for people. */
  detail?: string
  /** Seconds until a retry makes sense; sent as `Retry-After`. */
  retryAfter?: number
}

/** Extension members (RFC 9457 §3.2) that a problem with this code must have. */
interface RequiredMembers {
  /** Why the session ended. */
  session_ended: { reason: SessionEndedReason }
  /** The greatest age that the sign-in may have, in seconds (RFC 9470 §3). */
  insufficient_user_authentication: { max_age: number }
  /** The scopes that the call needs, with spaces between them (RFC 6750 §3). */
  insufficient_scope: { scope: string }
  /** When the key begins to sign. */
  signing_key_waits: { signs_at: string }
  /** Which cap was reached. */
  too_many_attempts: { reason: AttemptCap; retryAfter: number }
  /** Which factors are accepted; `mfa_token` at sign-in only: it proves that the password was right. */
  mfa_required: { methods: readonly FactorMethod[]; mfa_token?: string }
  /** What is wrong with the password. */
  password_too_weak: { reasons: readonly PasswordFault[]; detail: string }
}

interface OptionalMembers {
  /** One entry per fault. */
  validation_failed: { errors?: readonly { pointer: string; detail: string }[] }
}

export type MembersOf<Code extends ProblemCode> = CommonMembers &
  (Code extends keyof RequiredMembers
    ? RequiredMembers[Code]
    : Code extends keyof OptionalMembers
      ? OptionalMembers[Code]
      : unknown)

type Details<Code extends ProblemCode> = Code extends keyof RequiredMembers
  ? [members: MembersOf<Code>, options?: ErrorOptions]
  : [members?: MembersOf<Code>, options?: ErrorOptions]

/** An expected failure, typed by its code, which is also its message. `http/` renders it for the client. */
export class Problem<Code extends ProblemCode = ProblemCode> extends Error {
  readonly code: Code
  readonly members: MembersOf<Code>

  constructor(code: Code, ...[members, options]: Details<Code>) {
    const { stackTraceLimit } = Error
    // Refusals are common and expected: the trace would cost more than the rest of the answer, and nobody reads it.
    if (problems[code][0] < 500) Error.stackTraceLimit = 0
    super(code, options)
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'Problem'
    this.code = code
    this.members = (members ?? {}) as MembersOf<Code>
  }

  get status(): number {
    return problems[this.code][0]
  }
}

/** Whether an error is a problem with this code. */
export const isProblem = <Code extends ProblemCode>(error: unknown, code: Code): error is Problem<Code> =>
  error instanceof Problem && error.code === code
