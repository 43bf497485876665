import type { Schemas } from './schemas.ts'

export type EndedReason = NonNullable<Schemas['ListedSession']['ended_reason']> | 'unknown'

/** A problem of the server (RFC 9457), in part. */
export interface ProblemDocument {
  status: number
  code: string
  title?: string
  detail?: string
  request_id?: string
  /** With `session_ended`. */
  reason?: EndedReason
  /** With `mfa_required`. */
  mfa_token?: string
  methods?: string[]
  /** With `validation_failed`: JSON pointers and what is wrong there. */
  errors?: { pointer: string; detail: string }[]
  /** With `password_too_weak`. */
  reasons?: string[]
}

/**
 * Why a call did not succeed. `code` is one of the server's (docs/errors.md), or of this client's: `offline` if no answer
 * came, `bad_response` if what came is not this server's, `signed_out` if there is no session to act in, `cookies_blocked`
 * if the browser did not keep the cookie of a sign-in, `passkey_not_used` if the person or the browser declined.
 */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: string
  /** What the server said. */
  readonly problem: ProblemDocument | undefined
  /** Seconds to wait before another try, if the server named them. */
  readonly retryAfter: number | undefined

  constructor(
    code: string,
    {
      problem,
      retryAfter,
      cause,
      message = code,
    }: {
      problem?: ProblemDocument | undefined
      retryAfter?: number | undefined
      cause?: unknown
      message?: string
    } = {},
  ) {
    super(problem?.detail ?? problem?.title ?? message, { cause })
    this.code = code
    this.problem = problem
    this.retryAfter = retryAfter
  }

  /** Whether the session has ended for certain. Everything else is a reason to try again, not to sign out. */
  get endsSession(): boolean {
    return this.problem?.status === 401 && ENDED.includes(this.code)
  }
}

const ENDED = ['session_ended', 'refresh_token_invalid']
