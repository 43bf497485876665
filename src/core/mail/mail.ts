import type { Brand } from '../../platform/brand-settings.ts'
import type { Database } from '../../platform/database.ts'
import { canonicalAddress } from '../../platform/email-address.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Reader } from '../languages/languages.ts'
import {
  liftHold,
  listUnsent,
  type Message,
  type Outbox,
  type SourceCap,
  Undeliverable,
  type UnsentMessage,
} from '../outbox/outbox.ts'
import type { Letters } from './letters.ts'
import { type MailContent, type MailData, type MailTemplate, REPLACES } from './mail-data.ts'
import type { Mailer } from './mailer.ts'
import { createMailReport } from './report.ts'
import { isMailTemplate } from './samples.ts'
import { findSuppression, isHeldBack } from './suppression.ts'
import { type RenderedMail, renderMail } from './templates.ts'

export { createMailer, type MailerOptions } from './create-mailer.ts'
export { recognizeProgram } from './facts.ts'
export { createInboxMailer, type InboxMail, type InboxMailer } from './inbox-mailer.ts'
export { LETTER_FILES, type Letters, readLetters } from './letters.ts'
export { createLinks, type Links, withLocale } from './links.ts'
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
   * Queues a mail. It is given up when its link ends (`minutes` of its data), or after a day. Ten mails of one template
   * leave for one recipient within an hour; further ones wait until that allows them. Where {@link REPLACES} says so, a
   * newer one replaces one that waits, and leaves a quarter of an hour after the last one at the latest.
   * @throws {TypeError} when `to` is empty or holds a control character.
   */
  enqueue(tx: Transaction, to: Recipient, content: MailContent, options?: EnqueueOptions): Promise<void>
}

/** An account, or an address without one. */
export interface Recipient extends Pick<Reader, 'locale'> {
  email: string
}

export interface EnqueueOptions extends Pick<Reader, 'acceptLanguage'> {
  /** Milliseconds until nothing in the mail works any more; by default `minutes` of its data. */
  lifetimeMs?: number | undefined
  /**
   * A second cap, per source: past `perHour` mails of this template to this recipient that `source` caused within an
   * hour, the mail waits as well. Name the client, for example with `clientKey`, so that a stranger's requests do not
   * delay what the recipient asks for.
   */
  delayPast?: SourceCap | undefined
}

export interface MailDeps extends UsesPlatform<'db' | 'log' | 'metrics'> {
  outbox: Pick<Outbox, 'define'>
  mailer: Mailer
  brand: Brand
  letters: Letters
}

/** The name of the kind in the outbox. */
const KIND = 'mail'
const MAX_PER_HOUR = 10

/**
 * What the outbox keeps of a mail. It is rendered when it is queued, so that every attempt sends the same bytes: the
 * provider's idempotency key demands it. Nodes of the previous release read the data beside it, and write no `letter`.
 */
type Payload = MailData<MailTemplate> & { minutes?: number; letter?: RenderedMail }

/** Registers mail as a kind of message with the outbox. */
export function openMail({ db, log, metrics, outbox, mailer, brand, letters }: MailDeps): Mail {
  async function deliver({ id, topic: template, recipient, payload, ageMs }: Message) {
    if (!isMailTemplate(template)) throw new Error('this version knows no such template')
    // Checked here and not in `enqueue`: no request may reveal what is known about an address.
    const suppression = await findSuppression(db, recipient)
    if (suppression && isHeldBack(template, suppression)) return { withhold: `suppressed: ${suppression}` }
    const letter = (payload as Payload).letter ?? renderAsBefore(template, payload as Payload, ageMs)
    await mailer.send({ id, to: recipient, ...letter })
    return undefined
  }

  /** Renders a mail that the previous release queued; the outbox does not know when its link ends. */
  function renderAsBefore(template: MailTemplate, data: Payload, ageMs: number): RenderedMail {
    if (data.minutes !== undefined && ageMs >= lifetimeOf(data.minutes)) throw new Undeliverable('expired')
    return renderMail(letters.get(template), data, brand)
  }

  const queue = outbox.define({
    name: KIND,
    maxPerHour: MAX_PER_HOUR,
    deliver,
    report: createMailReport({ log, metrics }),
  })

  return {
    async enqueue(tx, { email, locale }, { template, data }, options = {}) {
      if (!/^\P{Cc}+$/u.test(email)) throw new TypeError('a recipient must be one line of text')
      const { acceptLanguage, lifetimeMs, delayPast } = options
      const text = letters.get(template, letters.languages.choose({ locale, acceptLanguage }))
      await queue(tx, {
        topic: template,
        // An account that could not be brought over has another spelling: mail to it is counted and withheld all the same.
        recipient: canonicalAddress(email) ?? email,
        payload: { ...data, letter: renderMail(text, data, brand) } satisfies Payload,
        lifetimeMs: lifetimeMs ?? ('minutes' in data ? lifetimeOf(data.minutes) : undefined),
        replaces: REPLACES[template],
        sourceCap: delayPast,
      })
    },
  }
}

const lifetimeOf = (minutes: number) => minutes * 60_000

/** Up to `limit` mails that wait, next first, and up to `limit` that were given up, latest first. */
export const listUnsentMails = (db: Database, now: number, limit: number): Promise<UnsentMessage[]> =>
  listUnsent(db, KIND, now, limit)

/** Ends a hold early, for an operator who has mended its cause. False if mail is not held. */
export const resumeMail = (db: Database, now: number): Promise<boolean> => liftHold(db, KIND, now)
