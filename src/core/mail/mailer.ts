import { Undeliverable } from '../outbox/outbox.ts'

/** One mail, ready to send. */
export interface Mail {
  /** Idempotency key: a mail sent twice with the same id arrives once, if the provider supports that. */
  id: string
  to: string
  subject: string
  text: string
  html: string
}

/** Delivers mail through one provider. */
export interface Mailer {
  readonly name: string
  /** @throws {MailRejected} when trying again is pointless; any other error means: try again later. */
  send(mail: Mail): Promise<void>
}

/** The provider permanently refuses this mail. The message names no address, link or key. */
export class MailRejected extends Undeliverable {
  override readonly name: string = 'MailRejected'
}
