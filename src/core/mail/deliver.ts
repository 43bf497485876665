import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import type { Secrets } from '../../platform/secrets.ts'
import { within } from '../../platform/timeout.ts'
import { describeFailure, GIVE_UP_AFTER_MS, retryDelay } from '../outbox/retry.ts'
import { type ClaimedMail, giveUp, LEASE_MS, markSent, putOff } from '../outbox/rows.ts'
import type { Brand } from './layout.ts'
import { type Mail, type Mailer, MailRejected } from './mailer.ts'
import { findSuppression, isHeldBack } from './suppression.ts'
import { isMailTemplate, renderMail } from './templates.ts'

/** What is needed of a log; pino's logger fits. */
export interface OutboxLog {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface DeliveryDeps {
  db: Database
  secrets: Secrets
  clock: Clock
  mailer: Mailer
  brand: Brand
  log: OutboxLog
  /** Told what came of each attempt. */
  count?: ((template: string, result: DeliveryResult) => void) | undefined
}

export type DeliveryResult = 'sent' | 'delayed' | 'given_up' | 'suppressed'

/** One attempt may take this long, in milliseconds: well within the lease. */
const ATTEMPT_MS = LEASE_MS * 0.75

/**
 * Sends one claimed message and writes down what came of it.
 * @throws when the database fails; the lease then runs out and the message is tried again.
 */
export async function deliver(deps: DeliveryDeps, claimed: ClaimedMail): Promise<void> {
  const { db, clock, mailer, log } = deps
  const count = (result: DeliveryResult) =>
    deps.count?.(isMailTemplate(claimed.template) ? claimed.template : 'unknown', result)
  // Here and not when it is queued: no call may tell a stranger what is known of an address.
  const suppression = await findSuppression(db, claimed.recipient)
  if (suppression && isMailTemplate(claimed.template) && isHeldBack(claimed.template, suppression)) {
    if (!(await giveUp(db, claimed, clock.now(), `suppressed: ${suppression}`))) return
    count('suppressed')
    log.warn(
      { event: 'mail_suppressed', outboxId: claimed.id, template: claimed.template, reason: suppression },
      'a mail was not sent: the provider reported its address',
    )
    return
  }
  try {
    const mail = compose(deps, claimed)
    // A mailer that hangs must not stop the worker.
    await within(ATTEMPT_MS, mailer.send(mail), 'the mailer did not answer in time')
  } catch (error) {
    const fields = { outboxId: claimed.id, template: claimed.template, attempts: claimed.attempts }
    const reason = describeFailure(error)
    const now = clock.now()
    if (error instanceof MailRejected || now - claimed.createdAt >= GIVE_UP_AFTER_MS) {
      if (!(await giveUp(db, claimed, now, reason))) return
      count('given_up')
      log.error(
        { code: 'mail_given_up', ...fields, reason },
        'a mail could not be delivered and was given up',
      )
    } else {
      await putOff(db, claimed, now + retryDelay(claimed.attempts), reason)
      count('delayed')
      log.warn({ code: 'mail_delayed', ...fields, reason }, 'a mail could not be delivered yet')
    }
    return
  }
  await markSent(db, claimed, clock.now())
  count('sent')
}

/** A seal that does not open is tried again like any failure: a secret removed too early can be put back. */
function compose({ secrets, brand }: DeliveryDeps, { id, template, recipient, sealed }: ClaimedMail): Mail {
  if (!isMailTemplate(template)) throw new Error('this version knows no such template')
  const data = JSON.parse(secrets.open('outbox', id, sealed))
  return { id, to: recipient, ...renderMail(template, data, brand) }
}
