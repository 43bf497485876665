import type { Environment, Reader } from './environment.ts'

/** How mail is sent, and by whom. */
export type MailSettings = { from: string; replyTo: string | undefined } & (
  | { kind: 'resend'; apiKey: string; baseUrl: string | undefined; webhookSecret: string | undefined }
  | { kind: 'smtp'; url: string }
  | { kind: 'inbox'; dir: string }
)

/** Reads how mail is sent; without a provider, development keeps it in an inbox. */
export function readMail(env: Environment, read: Reader, production: boolean): MailSettings {
  const sender = {
    from: read.mailbox('MAIL_FROM', production ? undefined : 'Ratchet <ratchet@localhost>'),
    replyTo: env.MAIL_REPLY_TO ? read.mailbox('MAIL_REPLY_TO') : undefined,
  }
  if (env.RESEND_API_KEY && env.SMTP_URL)
    read.fault('RESEND_API_KEY and SMTP_URL contradict each other: set one')
  if (env.RESEND_API_KEY) {
    // As it is sent in a header: the error about one that cannot be would show it.
    if (!/^[\x21-\x7e]+$/.test(env.RESEND_API_KEY)) read.fault('RESEND_API_KEY must be a key of Resend, re_…')
    return {
      ...sender,
      kind: 'resend',
      apiKey: env.RESEND_API_KEY,
      baseUrl: env.RESEND_BASE_URL
        ? read.origin('RESEND_BASE_URL', undefined, { allowPath: true, secure: production })
        : undefined,
      webhookSecret: readWebhookSecret(env, read),
    }
  }
  if (env.SMTP_URL) return { ...sender, kind: 'smtp', url: read.url('SMTP_URL', ['smtp:', 'smtps:']) }
  if (production) read.fault('RESEND_API_KEY or SMTP_URL is missing: mail could not be sent')
  return { ...sender, kind: 'inbox', dir: read.text('INBOX_DIR', '.data/inbox') }
}

function readWebhookSecret(env: Environment, read: Reader): string | undefined {
  const secret = env.RESEND_WEBHOOK_SECRET
  if (secret && !/^whsec_[A-Za-z0-9+/]{16,}={0,2}$/.test(secret)) {
    read.fault('RESEND_WEBHOOK_SECRET must be the secret that Resend shows beside the webhook, whsec_…')
  }
  return secret || undefined
}
