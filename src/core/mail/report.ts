import type { UsesPlatform } from '../../platform/platform.ts'
import type { DeliveryReport, DeliveryResult, MessageKind } from '../outbox/outbox.ts'
import { isConfigurationError } from './mailer.ts'
import { isMailTemplate } from './samples.ts'

/** The label of each result in metrics. */
const RESULTS: Record<DeliveryResult, string> = {
  sent: 'sent',
  delayed: 'delayed',
  held: 'held',
  capped: 'capped',
  given_up: 'given_up',
  withheld: 'suppressed',
}

/** Logs and counts what happens to mails. */
export function createMailReport({ log, metrics }: UsesPlatform<'log' | 'metrics'>): MessageKind['report'] {
  return ({ id: outboxId, topic, attempts }, report) => {
    const { result, reason, error } = report
    const isRefused = result === 'delayed' && isConfigurationError(error)
    metrics.countMail(isMailTemplate(topic) ? topic : 'unknown', isRefused ? 'refused' : RESULTS[result])
    const fields = { outboxId, template: topic, attempts, reason }
    if (isRefused) {
      log.error(
        { code: 'mail_refused', ...fields },
        'the mail provider refused a mail because of this server or its configuration; it will be retried',
      )
    } else if (result === 'delayed') {
      log.warn({ code: 'mail_delayed', ...fields }, 'a mail could not be delivered and will be retried')
    } else if (result === 'held') {
      logHold(report)
    } else if (result === 'given_up') {
      log.error({ code: 'mail_given_up', ...fields }, 'a mail could not be delivered and will not be retried')
    } else if (result === 'withheld') {
      const reported = reason?.replace('suppressed: ', '')
      log.warn(
        { event: 'mail_suppressed', ...fields, reason: reported },
        'a mail was not sent, because the provider reported its recipient',
      )
    } else if (result === 'capped') {
      log.info(
        { event: 'mail_capped', outboxId, template: topic, until: timeOf(report) },
        'a mail waits, because its recipient gets many of its kind',
      )
    }
  }

  /** Once per hold: every waiting mail meets it. */
  function logHold(report: DeliveryReport): void {
    if (!report.beginsHold) return
    const fields = { code: 'mail_held', reason: report.reason, until: timeOf(report) }
    if (isConfigurationError(report.error)) {
      log.error(fields, 'the mail provider accepts no mail until its configuration is mended; all mail waits')
    } else log.warn(fields, 'the mail provider accepts no mail at present; all mail waits')
  }
}

const timeOf = ({ until }: DeliveryReport) =>
  until === undefined ? undefined : new Date(until).toISOString()
