import { uuidv7 } from 'uuidv7'
import { type Background, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { afterCommit, type Transaction } from '../../platform/transact.ts'
import { deliver } from './deliver.ts'
import type { MessageKind, NewMessage } from './message-kind.ts'
import { claimDue, hasDue } from './rows.ts'

export { listMessages } from './list.ts'
export {
  type DeliveryResult,
  type Message,
  type MessageKind,
  type NewMessage,
  Undeliverable,
} from './message-kind.ts'
export { describeFailure } from './retry.ts'

/** A queue of messages that are sent if, and only if, the transaction that queued them commits. */
export interface Outbox extends Background {
  /** Registers a kind and returns a function that queues messages of it in a transaction. */
  define(kind: MessageKind): (tx: Transaction, message: NewMessage) => Promise<void>
  start(): void
  /** Attempts everything that is due. @throws when the database fails. */
  drain(): Promise<void>
}

export type OutboxDeps = UsesPlatform<'db' | 'poll' | 'secrets' | 'clock' | 'log' | 'metrics'>

const BATCH = 10
const HOUR_MS = 3_600_000

/** Its worker runs when a transaction of this process queues a message, and when the poll finds one that is due. */
export function openOutbox(deps: OutboxDeps): Outbox {
  const { db, poll, secrets, clock } = deps
  const kinds = new Map<string, MessageKind>()

  async function deliverDue(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const batch = await claimDue(db, [...kinds.keys()], clock.now(), BATCH)
      if (batch.length === 0) return
      const results = await Promise.allSettled(
        batch.map((claimed) => deliver(deps, kinds.get(claimed.kind) as MessageKind, claimed)),
      )
      const failed = results.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
    }
  }

  const worker = repeat({
    task: 'outbox',
    run: deliverDue,
    failure: {
      message: 'the outbox cannot be read',
      level: 'error',
      fields: () => ({ code: 'outbox_unavailable' }),
    },
    monitor: deps,
  })

  poll.ask<boolean>({
    task: 'outbox',
    sql: () => hasDue([...kinds.keys()], clock.now()),
    answer(isDue) {
      if (isDue) worker.wake()
    },
  })

  return {
    define(kind) {
      kinds.set(kind.name, kind)
      return async (tx, { topic, recipient, payload }) => {
        const now = clock.now()
        // Held until the transaction ends: otherwise parallel requests would not count each other's messages.
        const lock = `outbox:${topic}:${recipient}`
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))`
        const recent = await tx.outboxMessage.count({
          where: { kind: kind.name, recipient, topic, createdAt: { gt: new Date(now - HOUR_MS) } },
        })
        if (recent >= kind.maxPerHour) return
        const id = uuidv7()
        const sealed = secrets.seal('outbox', id, JSON.stringify(payload))
        const createdAt = new Date(now)
        const row = { id, kind: kind.name, topic, recipient, sealed, nextAttemptAt: createdAt, createdAt }
        await tx.outboxMessage.create({ data: row })
        // Not awaited: the response to the client does not wait for the delivery.
        afterCommit(tx, worker.wake)
      }
    },
    start: worker.start,
    stop: worker.stop,
    drain: worker.runNow,
  }
}
