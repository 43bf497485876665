import { type Background, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { afterCommit, type Transaction } from '../../platform/transact.ts'
import { createDeliverKind, type DeliverKind } from './deliver-kind.ts'
import { enqueue } from './enqueue.ts'
import { giveUpExpired, hasExpired } from './expire.ts'
import type { MessageKind, NewMessage } from './message-kind.ts'
import { hasDue, longestWaits } from './rows.ts'

export { giveUpQueued } from './expire.ts'
export { listMessages } from './history.ts'
export { liftHold } from './holds.ts'
export { createLateMessages } from './late-messages.ts'
export { listUnsent, type UnsentMessage } from './list.ts'
export {
  type DeliveryReport,
  type DeliveryResult,
  KindUnavailable,
  type Message,
  type MessageKind,
  type NewMessage,
  type SourceCap,
  Undeliverable,
} from './message-kind.ts'
export { describeFailure } from './retry.ts'

/** A queue of messages that are sent if, and only if, the transaction that queued them commits. */
export interface Outbox extends Background {
  /** Registers a kind and returns a function that queues messages of it in a transaction. */
  define(kind: MessageKind): (tx: Transaction, message: NewMessage) => Promise<void>
  start(): void
  /** Gives up what has expired and attempts everything that is due and not held. @throws when the database fails. */
  drain(): Promise<void>
}

export type OutboxDeps = UsesPlatform<'db' | 'poll' | 'secrets' | 'clock' | 'log' | 'metrics'>

const EXPIRED_BATCH = 100

/**
 * Its worker runs when a transaction of this process queues a message, when a hold that this process has seen ends, and
 * when the poll finds a message that is due.
 */
export function openOutbox(deps: OutboxDeps): Outbox {
  const { db, poll, clock, metrics } = deps
  const kinds = new Map<string, MessageKind>()
  const deliveries = new Map<string, DeliverKind>()
  const timers = new Map<string, NodeJS.Timeout>()
  const names = () => [...kinds.keys()]

  /** Returns the number of messages that were accepted. */
  async function deliverDue(signal: AbortSignal): Promise<number> {
    let accepted = 0
    const runs = [...deliveries].map(async ([name, run]) => {
      const { sent, heldUntil } = await run(signal)
      accepted += sent
      if (heldUntil !== undefined) wakeAt(name, heldUntil)
    })
    const failed = (await Promise.allSettled(runs)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    return accepted
  }

  /** The poll would find it too, but up to half a second later. A timer may fire a millisecond early. */
  function wakeAt(name: string, at: number): void {
    clearTimeout(timers.get(name))
    timers.set(name, setTimeout(worker.wake, at - clock.now() + 2).unref())
  }

  /** Returns the number of messages that were given up. */
  async function expire(signal: AbortSignal): Promise<number> {
    let total = 0
    for (let count = EXPIRED_BATCH; count === EXPIRED_BATCH && !signal.aborted; ) {
      const expired = await giveUpExpired(db, names(), clock.now(), EXPIRED_BATCH)
      for (const message of expired) {
        kinds.get(message.kind)?.report(message, { result: 'given_up', reason: message.lastError })
      }
      count = expired.length
      total += count
    }
    return total
  }

  metrics.observeOutboxAge(async () => {
    const waits = await longestWaits(db, clock.now())
    return waits && Math.max(0, ...waits.map(({ seconds }) => seconds))
  })

  const failure = {
    message: 'the outbox cannot be read',
    level: 'error',
    fields: () => ({ code: 'outbox_unavailable' }),
  } as const
  const worker = repeat({ task: 'outbox', run: deliverDue, failure, monitor: deps })
  const expiry = repeat({ task: 'outbox_expiry', run: expire, failure, monitor: deps })

  poll.ask<boolean>({
    task: 'outbox',
    sql: () => hasDue(names(), clock.now()),
    answer(isDue) {
      if (isDue) worker.wake()
    },
  })
  poll.ask<boolean>({
    task: 'outbox_expiry',
    sql: () => hasExpired(names(), clock.now()),
    answer(isExpired) {
      if (isExpired) expiry.wake()
    },
  })

  return {
    define(kind) {
      kinds.set(kind.name, kind)
      deliveries.set(kind.name, createDeliverKind(deps, kind))
      return async (tx, message) => {
        const { id, dueAt, isCapped } = await enqueue(deps, kind, tx, message)
        const queued = { id, topic: message.topic, attempts: 0 }
        // Not awaited: the response to the client does not wait for the delivery.
        if (isCapped) afterCommit(tx, () => kind.report(queued, { result: 'capped', until: dueAt }))
        else afterCommit(tx, worker.wake)
      }
    },
    tasks: [expiry, worker],
    start() {
      worker.start()
      expiry.start()
    },
    async stop() {
      for (const timer of timers.values()) clearTimeout(timer)
      await Promise.all([worker.stop(), expiry.stop()])
      // A run that was in flight may have set one.
      for (const timer of timers.values()) clearTimeout(timer)
    },
    async drain() {
      await expiry.runNow()
      await worker.runNow()
    },
  }
}
