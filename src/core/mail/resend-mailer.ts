import { VERSION } from '../../platform/version.ts'
import { type Mailer, ProviderUnavailable } from './mailer.ts'
import { readResendFailure } from './resend-failure.ts'
import { readRetryAfter } from './retry-after.ts'

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
 * Sends through Resend's API, with the mail's id as `Idempotency-Key`. Without the library, which hides the status of
 * an answer that is not Resend's own. Errors name only the provider's code and status: its text can quote addresses.
 */
export function createResendMailer({ apiKey, baseUrl, from, replyTo }: ResendOptions): Mailer {
  const url = `${baseUrl ?? 'https://api.resend.com'}/emails`
  const headers = {
    authorization: `Bearer ${apiKey}`,
    'content-type': 'application/json',
    'user-agent': `ratchet/${VERSION}`,
  }

  return {
    name: 'resend',

    async send({ id, to, subject, text, html }) {
      const mail = { from, to: [to], subject, text, html, ...(replyTo ? { reply_to: replyTo } : {}) }
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'idempotency-key': id },
        body: JSON.stringify(mail),
        // A redirected request would carry the key elsewhere.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      }).catch((error: unknown) => {
        throw new ProviderUnavailable(`resend gave no answer (${describeCause(error)})`)
      })
      const answer = await readJson(response)
      const { status } = response
      if (response.ok && answer) return
      const { name, message } = answer ?? {}
      throw readResendFailure({ status, name, message, retryAfterMs: readRetryAfter(response.headers) })
    },
  }
}

/** Undefined for a body that is not a JSON object, or breaks off. */
async function readJson(response: Response): Promise<Record<string, unknown> | undefined> {
  const body: unknown = await response.json().catch(() => undefined)
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : undefined
}

/** `ECONNREFUSED`, `TimeoutError` */
function describeCause(error: unknown): string {
  const { name, cause } = error as Error & { cause?: { code?: unknown } }
  return typeof cause?.code === 'string' && /^[A-Z_]{1,40}$/.test(cause.code) ? cause.code : name
}
