import type { Resend } from 'resend'
import { openOnce } from '../../platform/open-once.ts'
import { type Mailer, MailRejected } from './mailer.ts'

export interface ResendOptions {
  apiKey: string
  /** The URL of the API, if not Resend's. No trailing slash. */
  baseUrl?: string | undefined
  from: string
  replyTo?: string | undefined
}

/** The time limit of one attempt, in milliseconds. */
const TIMEOUT_MS = 10_000

/**
 * Sends through Resend's API, with the mail's id as `Idempotency-Key`.
 * Errors name only the provider's code and status, because its free text can quote addresses.
 */
export function createResendMailer({ apiKey, baseUrl, from, replyTo }: ResendOptions): Mailer {
  const resend = openOnce(() => openResend(apiKey, baseUrl))

  return {
    name: 'resend',

    async send({ id, to, subject, text, html }) {
      const { emails } = await resend()
      const mail = { from, to: [to], subject, text, html, ...(replyTo ? { replyTo } : {}) }
      // The SDK passes these options to fetch, so the signal works although the types do not list it.
      const options = { idempotencyKey: id, signal: AbortSignal.timeout(TIMEOUT_MS) }
      const { data, error } = await emails.send(mail, options)
      if (data) return
      // The SDK does not check the body of an error: its fields may differ from their types.
      const status = Number(error?.statusCode) || 0
      const code = /^[a-z_]{1,40}$/.test(String(error?.name)) ? String(error?.name) : 'unknown_error'
      const message = status ? `resend answered ${status} ${code}` : `resend gave no answer (${code})`
      if (isPermanent(status, code)) throw new MailRejected(message)
      throw new Error(message)
    },
  }
}

/** Loads the library when it is first used. */
async function openResend(apiKey: string, baseUrl: string | undefined): Promise<Resend> {
  const { Resend } = await import('resend')
  return new Resend(apiKey, baseUrl ? { baseUrl } : undefined)
}

/** A wrong sender is a configuration error: the mail can be sent once that is fixed. */
const isPermanent = (status: number, code: string) =>
  (status === 400 || status === 422) && code !== 'invalid_from_address'
