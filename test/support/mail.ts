import { type Mail, openMail } from '../../src/core/mail/mail.ts'
import type { MailContent } from '../../src/core/mail/mail-data.ts'
import type { Mailer } from '../../src/core/mail/mailer.ts'
import { type Outbox, openOutbox } from '../../src/core/outbox/outbox.ts'
import type { Clock } from '../../src/platform/clock.ts'
import type { Database } from '../../src/platform/database.ts'
import type { DatabasePoll } from '../../src/platform/database-poll.ts'
import type { Log } from '../../src/platform/log.ts'
import type { Metrics } from '../../src/platform/metrics.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { readTexts } from '../../src/texts.ts'
import { silentMetrics } from './monitor.ts'
import { asTransaction } from './transaction.ts'

const { letters } = await readTexts({ defaultLocale: 'en' })

export interface MailQueueOptions {
  db: Database
  clock: Clock
  mailer: Mailer
  log: Log
  countMail?: Metrics['countMail']
  poll: DatabasePoll
}

/** An outbox and the mail on top of it, as the server builds them. */
export interface MailQueue extends Pick<Outbox, 'start' | 'stop' | 'drain'> {
  enqueueIn: Mail['enqueue']
  /** Queues a mail outside a transaction, so that only polling finds it. */
  enqueue(to: string, content: MailContent): Promise<void>
}

export function openMailQueue({ db, clock, mailer, log, countMail, poll }: MailQueueOptions): MailQueue {
  const metrics = countMail ? { ...silentMetrics, countMail } : silentMetrics
  const secrets = createSecrets(['s'.repeat(32)])
  const outbox = openOutbox({ db, secrets, clock, log, metrics, poll })
  const brand = { name: 'Example', url: 'https://example.test' }
  const mail = openMail({ db, log, metrics, outbox, mailer, brand, letters })
  return {
    start: outbox.start,
    stop: outbox.stop,
    drain: outbox.drain,
    enqueueIn: mail.enqueue,
    enqueue: (email, content) => mail.enqueue(asTransaction(db), { email }, content),
  }
}
