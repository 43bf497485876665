/** The parts of a message that do not depend on its kind. */
export interface NewMessage {
  /** The subject within its kind, such as the template of a mail. */
  topic: string
  recipient: string
  /** Anything that JSON can hold. It is kept encrypted until the message is delivered. */
  payload: unknown
}

/** A message that is due. */
export interface Message extends NewMessage {
  /** The same at every attempt: an idempotency key. */
  id: string
}

/** The result of an attempt; `withheld` when the kind decided not to deliver. */
export type DeliveryResult = 'sent' | 'delayed' | 'given_up' | 'withheld'

/** How messages of one kind are delivered. Queueing, leasing and retrying are the same for all kinds. */
export interface MessageKind {
  name: string
  /** The maximum number of messages of one topic to one recipient per hour; further ones are not queued. */
  maxPerHour: number
  /**
   * Resolves when the message was delivered, or with a reason not to deliver it.
   * @throws {Undeliverable} when trying again is pointless; any other error means: try again later.
   */
  deliver(message: Message): Promise<undefined | { withhold: string }>
  /** Called with the result of each attempt. */
  report(
    message: { id: string; topic: string; attempts: number },
    result: DeliveryResult,
    reason?: string,
  ): void
}

/** This message can never be delivered. The error's message names no address, link or key. */
export class Undeliverable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Undeliverable'
  }
}
