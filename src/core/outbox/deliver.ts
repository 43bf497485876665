import type { UsesPlatform } from '../../platform/platform.ts'
import { withTimeout } from '../../platform/timeout.ts'
import { hold } from './holds.ts'
import { type DeliveryReport, KindUnavailable, type MessageKind, Undeliverable } from './message-kind.ts'
import { describeFailure, GIVE_UP_AFTER_MS, retryDelay } from './retry.ts'
import { type ClaimedMessage, giveUp, LEASE_MS, markSent, postpone, putBack } from './rows.ts'

/** The time limit of one attempt, in milliseconds: well within the lease. */
const ATTEMPT_MS = LEASE_MS * 0.75

/**
 * Delivers one claimed message, records the result and returns it; undefined when another worker has claimed it since.
 * @throws when the database fails; the lease then runs out and the message is tried again.
 */
export async function deliver(
  deps: UsesPlatform<'db' | 'secrets' | 'clock'>,
  kind: MessageKind,
  claimed: ClaimedMessage,
): Promise<DeliveryReport | undefined> {
  const report = await attempt(deps, kind, claimed)
  if (report) kind.report(claimed, report)
  return report
}

async function attempt(
  deps: UsesPlatform<'db' | 'secrets' | 'clock'>,
  kind: MessageKind,
  claimed: ClaimedMessage,
): Promise<DeliveryReport | undefined> {
  const { db, secrets, clock } = deps
  try {
    const { id, topic, recipient, sealed, createdAt } = claimed
    // A payload that cannot be decrypted is retried like any failure: the operator can restore a removed secret.
    const payload = JSON.parse(secrets.open('outbox', id, sealed))
    const delivery = kind.deliver({ id, topic, recipient, payload, ageMs: clock.now() - createdAt })
    // A delivery that hangs must not stop the worker.
    const outcome = await withTimeout(ATTEMPT_MS, delivery, 'the delivery timed out')
    if (outcome) {
      const { withhold: reason } = outcome
      return (await giveUp(db, claimed, clock.now(), reason)) ? { result: 'withheld', reason } : undefined
    }
  } catch (error) {
    return recordFailure(deps, kind, claimed, error)
  }
  await markSent(db, claimed, clock.now())
  return { result: 'sent' }
}

async function recordFailure(
  { db, clock }: UsesPlatform<'db' | 'clock'>,
  { name }: MessageKind,
  claimed: ClaimedMessage,
  error: unknown,
): Promise<DeliveryReport | undefined> {
  const reason = describeFailure(error)
  const now = clock.now()
  const { createdAt, expiresAt } = claimed
  if (error instanceof Undeliverable || now >= (expiresAt ?? createdAt + GIVE_UP_AFTER_MS)) {
    return (await giveUp(db, claimed, now, reason)) ? { result: 'given_up', reason, error } : undefined
  }
  if (error instanceof KindUnavailable) {
    const { until, isNew } = await hold(db, name, now, { reason, retryAfterMs: error.retryAfterMs })
    await putBack(db, claimed, now, reason)
    return { result: 'held', reason, error, until, beginsHold: isNew }
  }
  await postpone(db, claimed, now + retryDelay(claimed.attempts), reason)
  return { result: 'delayed', reason, error }
}
