import { canonicalAddress } from '../../platform/email-address.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { DeliveryResult, Message, Outbox } from '../outbox/outbox.ts'
import type { Brand } from './brand.ts'
import type { Languages, Reader } from './languages.ts'
import type { MailContent, MailData, MailTemplate } from './mail-data.ts'
import type { Mailer } from './mailer.ts'
import { isMailTemplate } from './samples.ts'
import { findSuppression, isHeldBack } from './suppression.ts'
import { renderMail } from './templates.ts'

export { createMailer, type MailerOptions } from './create-mailer.ts'
export { createInboxMailer, type InboxMail, type InboxMailer } from './inbox-mailer.ts'
export {
  canonical as canonicalLocale,
  type Languages,
  preferredLocale,
  readLanguages,
  TemplateError,
} from './languages.ts'
export { createLinks, type Links } from './links.ts'
export type { FactorChange, MailContent } from './mail-data.ts'
export {
  findSuppression,
  lift,
  listSuppressed,
  mark,
  readSuppression,
  respellSuppressions,
  type Suppression,
} from './suppression.ts'
export { renderSamples } from './templates.ts'

/** Mail that is sent if, and only if, the transaction that queued it commits. */
export interface Mail {
  /**
   * Queues a mail. After ten mails of one template to one recipient within an hour it does nothing, so that nobody can
   * be flooded. @throws {TypeError} when `to` is empty or holds a control character.
   */
  enqueue(
    tx: Transaction,
    to: Recipient,
    content: MailContent,
    context?: Pick<Reader, 'acceptLanguage'>,
  ): Promise<void>
}

/** An account, or an address without one. */
export interface Recipient extends Pick<Reader, 'locale'> {
  email: string
}

export interface MailDeps extends UsesPlatform<'db' | 'log' | 'metrics'> {
  outbox: Pick<Outbox, 'define'>
  mailer: Mailer
  brand: Brand
  languages: Languages
}

type Payload = MailData<MailTemplate> & { language?: string }

const MAX_PER_HOUR = 10
/** The label of each result in metrics. */
const RESULTS: Record<DeliveryResult, string> = {
  sent: 'sent',
  delayed: 'delayed',
  given_up: 'given_up',
  withheld: 'suppressed',
}

/** Registers mail as a kind of message with the outbox. */
export function openMail({ db, log, metrics, outbox, mailer, brand, languages }: MailDeps): Mail {
  async function deliver({ id, topic: template, recipient, payload }: Message) {
    if (!isMailTemplate(template)) throw new Error('this version knows no such template')
    // Checked here and not in `enqueue`: no request may reveal what is known about an address.
    const suppression = await findSuppression(db, recipient)
    if (suppression && isHeldBack(template, suppression)) return { withhold: `suppressed: ${suppression}` }
    const { language, ...data } = payload as Payload
    const letter = renderMail(template, data as MailData<MailTemplate>, languages.get(language), brand)
    await mailer.send({ id, to: recipient, ...letter })
    return undefined
  }

  const queue = outbox.define({
    name: 'mail',
    maxPerHour: MAX_PER_HOUR,
    deliver,
    report({ id: outboxId, topic, attempts }, result, reason) {
      const template = isMailTemplate(topic) ? topic : 'unknown'
      metrics.countMail(template, RESULTS[result])
      const fields = { outboxId, template: topic, attempts, reason }
      if (result === 'given_up') {
        log.error(
          { code: 'mail_given_up', ...fields },
          'a mail could not be delivered and will not be retried',
        )
      } else if (result === 'delayed') {
        log.warn({ code: 'mail_delayed', ...fields }, 'a mail could not be delivered and will be retried')
      } else if (result === 'withheld') {
        const reported = reason?.replace('suppressed: ', '')
        log.warn(
          { event: 'mail_suppressed', ...fields, reason: reported },
          'a mail was not sent, because the provider reported its recipient',
        )
      }
    },
  })

  return {
    async enqueue(tx, { email, locale }, { template, data }, context) {
      if (!/^\P{Cc}+$/u.test(email)) throw new TypeError('a recipient must be one line of text')
      // An account that could not be brought over has another spelling: mail to it is counted and withheld all the same.
      const recipient = canonicalAddress(email) ?? email
      // The language is beside the data, where the previous version does not look.
      const payload: Payload = { ...data, language: languages.choose({ ...context, locale }) }
      await queue(tx, { topic: template, recipient, payload })
    },
  }
}
