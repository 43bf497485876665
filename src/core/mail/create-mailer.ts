import { createInboxMailer, type InboxMailer, type InboxOptions } from './inbox-mailer.ts'
import type { Mailer } from './mailer.ts'
import { createResendMailer, type ResendOptions } from './resend-mailer.ts'
import { createSmtpMailer, type SmtpOptions } from './smtp-mailer.ts'

export type MailerOptions =
  | ({ kind: 'resend' } & ResendOptions)
  | ({ kind: 'smtp' } & SmtpOptions)
  | ({ kind: 'inbox' } & InboxOptions)

/** The mailer that is configured, and the development inbox if that is it. */
export function createMailer(options: MailerOptions): { mailer: Mailer; inbox: InboxMailer | undefined } {
  if (options.kind === 'resend') return { mailer: createResendMailer(options), inbox: undefined }
  if (options.kind === 'smtp') return { mailer: createSmtpMailer(options), inbox: undefined }
  const inbox = createInboxMailer({ dir: options.dir })
  return { mailer: inbox, inbox }
}
