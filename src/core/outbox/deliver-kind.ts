import type { UsesPlatform } from '../../platform/platform.ts'
import { deliver } from './deliver.ts'
import { endHold } from './holds.ts'
import type { DeliveryReport, MessageKind } from './message-kind.ts'
import { claimDue } from './rows.ts'

const BATCH = 10

/** Delivers the due messages of one kind. */
export type DeliverKind = (signal: AbortSignal) => Promise<Delivered>

export interface Delivered {
  /** The number of messages that were accepted. */
  sent: number
  /** Until when the kind is held, if it has just been refused. */
  heldUntil?: number
}

/**
 * Messages are delivered in batches. After a hold the first batch is one message, and each that is accepted doubles the
 * next: a receiver that takes two a second gets few that it has to refuse.
 */
export function createDeliverKind(
  deps: UsesPlatform<'db' | 'secrets' | 'clock'>,
  kind: MessageKind,
): DeliverKind {
  const { db, clock } = deps
  let size = BATCH

  return async (signal) => {
    let sent = 0
    while (!signal.aborted) {
      const batch = await claimDue(db, kind.name, clock.now(), size)
      if (batch.length === 0) break
      const settled = await Promise.allSettled(batch.map((claimed) => deliver(deps, kind, claimed)))
      const failed = settled.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
      const reports = settled.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : []))
      sent += reports.filter(({ result }) => result === 'sent').length
      const held = reports.flatMap(({ until }) => until ?? [])
      if (held.length > 0) {
        size = 1
        return { sent, heldUntil: Math.max(...held) }
      }
      const isAfterHold = batch.some(({ afterHold }) => afterHold)
      if (isAfterHold && reports.some(wasAnswered)) await endHold(db, kind.name, clock.now())
      size = Math.min(BATCH, (isAfterHold ? 1 : size) * 2)
    }
    return { sent }
  }
}

/** Whether the receiver answered this message, and not only the kind's own rules. */
const wasAnswered = ({ result }: DeliveryReport) => result !== 'withheld'
