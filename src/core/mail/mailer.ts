import { Undeliverable } from '../outbox/outbox.ts'

/** One mail, ready to be sent. */
export interface Mail {
  /** Idempotency key: sending the same id twice must reach the recipient once, where the provider can. */
  id: string
  to: string
  subject: string
  text: string
  html: string
}

/** Something that delivers mail. `send` throws `MailRejected` for good, anything else to be tried again. */
export interface Mailer {
  readonly name: string
  /** @throws {MailRejected} when trying again is pointless; any other error means: try again later. */
  send(mail: Mail): Promise<void>
}

/** The provider refuses this mail for good. The message names no address, link or key. */
export class MailRejected extends Undeliverable {
  override readonly name: string = 'MailRejected'
}
