import type { Transporter } from 'nodemailer'
import { isLoopback } from '../../platform/loopback.ts'
import { openOnce } from '../../platform/open-once.ts'
import type { Mailer } from './mailer.ts'
import { readSmtpFailure, type SmtpFailure } from './smtp-failure.ts'

export interface SmtpOptions {
  /**
   * `smtp://user:password@host:587`, or `smtps://…:465` for TLS from the first byte. Credentials are sent over TLS only,
   * unless the server is on this machine.
   */
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
        throw readSmtpFailure(error as SmtpFailure)
      }
    },
  }
}

async function openTransport(url: string): Promise<Transporter> {
  const { createTransport } = await import('nodemailer')
  return createTransport({
    url: withRequiredTls(url),
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 10_000,
    dnsTimeout: 5_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
}

/** A parameter of the URL wins over the other options of nodemailer, so the requirement has to be one too. */
function withRequiredTls(text: string): string {
  const url = new URL(text)
  const hasCredentials = url.username !== '' || url.password !== ''
  // A named `service` replaces the host.
  const isLocal = isLoopback(url.hostname) && !url.searchParams.has('service')
  if (!hasCredentials || isLocal || url.protocol === 'smtps:') return text
  url.searchParams.set('requireTLS', 'true')
  return url.href
}
