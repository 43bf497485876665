import type { Transporter } from 'nodemailer'
import { openOnce } from '../../platform/open-once.ts'
import { type Mailer, MailRejected } from './mailer.ts'

export interface SmtpOptions {
  /** `smtp://user:password@host:587`, or `smtps://…:465` for TLS from the first byte. */
  url: string
  from: string
  replyTo?: string | undefined
}

/** Sends over SMTP. SMTP has no idempotency key; a fixed Message-ID lets mailboxes drop a second copy. */
export function createSmtpMailer({ url, from, replyTo }: SmtpOptions): Mailer {
  // The library is loaded when it is first used.
  const transport = openOnce(() => openTransport(url))
  const domain = /@([^\s<>"@]+)>?\s*$/.exec(from)?.[1] ?? 'localhost'

  return {
    name: 'smtp',

    async send({ id, to, subject, text, html }) {
      const opened = await transport()
      try {
        await opened.sendMail({
          from,
          // As an object the address is one recipient, even if it contains commas.
          to: { name: '', address: to },
          subject,
          text,
          html,
          messageId: `<${id}@${domain}>`,
          // Asks vacation responders to stay silent (RFC 3834 §5).
          headers: { 'Auto-Submitted': 'auto-generated' },
          ...(replyTo ? { replyTo } : {}),
        })
      } catch (error) {
        throw translate(error as SmtpError)
      }
    },
  }
}

async function openTransport(url: string): Promise<Transporter> {
  const { createTransport } = await import('nodemailer')
  return createTransport({
    url,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 10_000,
    dnsTimeout: 5_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
}

type SmtpError = Error & { code?: string; responseCode?: number; command?: string }

/** Keeps only the codes of an error, because the server's text can quote the address. */
function translate({ code, responseCode, command }: SmtpError): Error {
  const what = [code ?? 'unknown error', command && `at ${command}`, responseCode].filter(Boolean).join(' ')
  const message = `smtp delivery failed: ${what}`
  // Only a refused recipient is permanent; a refused sender or sign-in is a configuration error.
  const recipientRefused = command === 'RCPT TO' && (responseCode ?? 0) >= 500
  const noRecipient = code === 'EENVELOPE' && command === 'API'
  return recipientRefused || noRecipient ? new MailRejected(message) : new Error(message)
}
