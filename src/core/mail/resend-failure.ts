import { MailRefused, MailRejected, ProviderUnavailable } from './mailer.ts'

/** An answer of Resend's API that is not a success. */
export interface ResendFailure {
  status: number
  /** Resend's name for the error, such as `validation_error`; anything in an answer that is not Resend's. */
  name: unknown
  /** Free text that may quote addresses: it is read and never passed on. */
  message: unknown
  retryAfterMs: number | undefined
}

// With these names no mail at all is accepted, until the operator acts.
const BAD_KEYS = ['missing_api_key', 'invalid_api_key', 'restricted_api_key', 'invalid_access']
const QUOTAS = ['daily_quota_exceeded', 'monthly_quota_exceeded']

/** Decides whose fault a failure is. https://resend.com/docs/api-reference/errors lists the names. */
export function readResendFailure({ status, name, message, retryAfterMs }: ResendFailure): Error {
  const code = typeof name === 'string' && /^[a-z_]{1,40}$/.test(name) ? name : 'unknown_error'
  const what = `resend answered ${status} ${code}`
  if (isAboutRecipient(status, code, message)) return new MailRejected(what)
  const isMisconfigured = status === 401 || BAD_KEYS.includes(code) || QUOTAS.includes(code)
  const isUnavailable = status === 429 || status > 500 || retryAfterMs !== undefined
  if (isMisconfigured || isUnavailable)
    return new ProviderUnavailable(what, { retryAfterMs, isMisconfigured })
  // Another request with the same key is still in progress.
  if (code === 'concurrent_idempotent_requests') return new Error(what)
  return status >= 300 && status < 500 ? new MailRefused(what) : new Error(what)
}

/** Resend has no name for it: only the text says which field is wrong. A sender in test mode is told to change it too. */
const isAboutRecipient = (status: number, code: string, message: unknown) =>
  (status === 400 || status === 422) &&
  (code === 'invalid_to_address' ||
    (code === 'validation_error' &&
      /^invalid [`'"]?to\b/i.test(`${message}`) &&
      !/\btesting\b/i.test(`${message}`)))
