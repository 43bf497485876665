import type { UsesPlatform } from '../../platform/platform.ts'
import { withTimeout } from '../../platform/timeout.ts'
import { type MessageKind, Undeliverable } from './message-kind.ts'
import { describeFailure, GIVE_UP_AFTER_MS, retryDelay } from './retry.ts'
import { type ClaimedMessage, giveUp, LEASE_MS, markSent, postpone } from './rows.ts'

/** The time limit of one attempt, in milliseconds: well within the lease. */
const ATTEMPT_MS = LEASE_MS * 0.75

/**
 * Delivers one claimed message and records the result.
 * @throws when the database fails; the lease then runs out and the message is tried again.
 */
export async function deliver(
  { db, secrets, clock }: UsesPlatform<'db' | 'secrets' | 'clock'>,
  kind: MessageKind,
  claimed: ClaimedMessage,
): Promise<void> {
  try {
    const { id, topic, recipient, sealed } = claimed
    // A payload that cannot be decrypted is retried like any failure: the operator can restore a removed secret.
    const payload = JSON.parse(secrets.open('outbox', id, sealed))
    const attempt = kind.deliver({ id, topic, recipient, payload })
    // A delivery that hangs must not stop the worker.
    const outcome = await withTimeout(ATTEMPT_MS, attempt, 'the delivery timed out')
    if (outcome) {
      if (await giveUp(db, claimed, clock.now(), outcome.withhold))
        kind.report(claimed, 'withheld', outcome.withhold)
      return
    }
  } catch (error) {
    const reason = describeFailure(error)
    const now = clock.now()
    if (error instanceof Undeliverable || now - claimed.createdAt >= GIVE_UP_AFTER_MS) {
      if (await giveUp(db, claimed, now, reason)) kind.report(claimed, 'given_up', reason)
    } else {
      await postpone(db, claimed, now + retryDelay(claimed.attempts), reason)
      kind.report(claimed, 'delayed', reason)
    }
    return
  }
  await markSent(db, claimed, clock.now())
  kind.report(claimed, 'sent')
}
