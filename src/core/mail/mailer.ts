import { KindUnavailable, Undeliverable } from '../outbox/outbox.ts'

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
  /**
   * @throws {MailRejected} when the provider refuses the recipient; {MailRefused} when it refuses the sender or the
   *   settings; {ProviderUnavailable} when it accepts no mail at present; any other error means: try this mail again
   *   later. No message names an address, link or key.
   */
  send(mail: Mail): Promise<void>
}

/** The provider says that this address gets no mail from any sender: trying again is pointless. */
export class MailRejected extends Undeliverable {
  override readonly name: string = 'MailRejected'
}

/** The provider refuses this mail for a reason that the operator can mend, and that is not the recipient's fault. */
export class MailRefused extends Error {
  override readonly name: string = 'MailRefused'
}

/** The provider accepts no mail at present, or cannot be reached. */
export class ProviderUnavailable extends KindUnavailable {
  override readonly name: string = 'ProviderUnavailable'
  /** Whether the operator has to mend something, such as a wrong key. */
  readonly isMisconfigured: boolean
  constructor(
    message: string,
    {
      retryAfterMs,
      isMisconfigured = false,
    }: { retryAfterMs?: number | undefined; isMisconfigured?: boolean } = {},
  ) {
    super(message, retryAfterMs)
    this.isMisconfigured = isMisconfigured
  }
}

/** Whether only the operator can end this failure. */
export const isConfigurationError = (error: unknown): boolean =>
  error instanceof MailRefused || (error instanceof ProviderUnavailable && error.isMisconfigured)
