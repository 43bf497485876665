/** The parts of a message that do not depend on its kind. */
export interface NewMessage {
  /** The subject within its kind, such as the template of a mail. */
  topic: string
  recipient: string
  /** Anything that JSON can hold. It is kept encrypted until the message is delivered. */
  payload: unknown
  /** Milliseconds from now after which the message is worthless and is given up; a day after it is due at the latest. */
  lifetimeMs?: number | undefined
  /** Replaces a message of the same topic to the same recipient that still waits for a cap. */
  replaces?: boolean | undefined
  /** A further cap: how many messages of the topic to the recipient one source may cause in an hour. */
  sourceCap?: SourceCap | undefined
}

export interface SourceCap {
  /** Names who causes the message, such as the key of a client. Only its hash is stored. */
  source: string
  perHour: number
}

/** A message that is due. */
export interface Message extends Pick<NewMessage, 'topic' | 'recipient' | 'payload'> {
  /** The same at every attempt: an idempotency key. */
  id: string
  /** Milliseconds since it was queued. */
  ageMs: number
}

/**
 * What happened to a message. `capped`: it waits for a cap. `held`: its kind accepts nothing at present. `withheld`: the
 * kind decided not to deliver it.
 */
export type DeliveryResult = 'sent' | 'delayed' | 'held' | 'capped' | 'given_up' | 'withheld'

export interface DeliveryReport {
  result: DeliveryResult
  /** One line without addresses and links. */
  reason?: string | undefined
  /** What the attempt threw. */
  error?: unknown
  /** When the message is tried again, in milliseconds since the epoch; only with `held` and `capped`. */
  until?: number | undefined
  /** Whether the refusal began a hold; only with `held`. */
  beginsHold?: boolean | undefined
}

/** How messages of one kind are delivered. Queueing, leasing and retrying are the same for all kinds. */
export interface MessageKind {
  name: string
  /** The maximum number of messages of one topic to one recipient that leave within an hour; further ones wait. */
  maxPerHour: number
  /**
   * Resolves when the message was delivered, or with a reason not to deliver it.
   * @throws {Undeliverable} when trying again is pointless; {KindUnavailable} when nothing of this kind can be delivered
   *   at present; any other error means: try this message again later.
   */
  deliver(message: Message): Promise<undefined | { withhold: string }>
  /** Called with the result of each attempt, and when a message waits for a cap or is given up without an attempt. */
  report(message: { id: string; topic: string; attempts: number }, report: DeliveryReport): void
}

/** This message can never be delivered. The error's message names no address, link or key. */
export class Undeliverable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Undeliverable'
  }
}

/**
 * No message of this kind can be delivered at present, so all of them wait. The attempt does not count as a failure of
 * the message. The error's message names no address, link or key.
 */
export class KindUnavailable extends Error {
  /** How long to wait, in milliseconds, if the receiver said so. */
  readonly retryAfterMs: number | undefined
  constructor(message: string, retryAfterMs?: number) {
    super(message)
    this.name = 'KindUnavailable'
    this.retryAfterMs = retryAfterMs
  }
}
