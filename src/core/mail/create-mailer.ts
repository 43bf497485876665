import { createInboxMailer, type InboxOptions } from './inbox-mailer.ts'
import type { Mailer } from './mailer.ts'
import { createResendMailer, type ResendOptions } from './resend-mailer.ts'
import { createSmtpMailer, type SmtpOptions } from './smtp-mailer.ts'

export type MailerOptions =
  | ({ kind: 'resend' } & ResendOptions)
  | ({ kind: 'smtp' } & SmtpOptions)
  | ({ kind: 'inbox' } & InboxOptions)

/** Creates the configured mailer. */
export function createMailer(options: MailerOptions): Mailer {
  if (options.kind === 'resend') return createResendMailer(options)
  if (options.kind === 'smtp') return createSmtpMailer(options)
  return createInboxMailer({ dir: options.dir })
}
