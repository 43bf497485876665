import t from 'tap'
import type { MailContent } from '../../../src/core/mail/mail-data.ts'
import { type Mail, type Mailer, MailRejected } from '../../../src/core/mail/mailer.ts'
import {
  findSuppression,
  isHeldBack,
  lift,
  listSuppressed,
  mark,
} from '../../../src/core/mail/suppression.ts'
import { openTestDatabase } from '../../support/database.ts'
import { openMailQueue } from '../../support/mail.ts'
import { silentLog } from '../../support/monitor.ts'
import { twenty } from '../../support/server.ts'

const START = Date.UTC(2026, 0, 1)
const ann = 'ann@example.test'
const at = (ms: number) => new Date(START + ms)

const { db, poll } = await openTestDatabase(t)
t.beforeEach(async () => {
  await db.mailSuppression.deleteMany()
  await db.outboxMessage.deleteMany()
})

t.test('the newest report wins, in whatever order reports arrive', async (t) => {
  t.equal(await findSuppression(db, ann), undefined)
  t.equal(await mark(db, ann, 'complained', at(10)), true)
  t.equal(await mark(db, ann, 'bounced', at(9)), false, 'older')
  t.equal(await lift(db, ann, at(10)), false, 'not newer')
  t.equal(await findSuppression(db, ann), 'complained')
  t.equal(await mark(db, ann, 'bounced', at(11)), true)
  t.equal(await mark(db, ann, 'complained', at(12)), false, 'weaker')
  t.equal(await findSuppression(db, ann), 'bounced')
  t.equal(await lift(db, ann, at(11)), false, 'older than the complaint')
  t.equal(await lift(db, ann, at(13)), true)
  t.equal(await findSuppression(db, ann), undefined)
  t.equal(await mark(db, ann, 'bounced', at(12)), false, 'from before it was lifted')
  t.equal(await findSuppression(db, ann), undefined)
  t.equal(await mark(db, ann, 'complained', at(14)), true, 'a lifted bounce no longer counts')
  t.equal(await findSuppression(db, ann), 'complained')
  t.equal(await lift(db, 'bob@example.test', at(1)), false, 'there was nothing to lift')
  t.match(await listSuppressed(db), [{ address: ann, reason: 'complained', at: at(14) }])
})

t.test('of twenty simultaneous copies of a report one counts', async (t) => {
  const results = await twenty(() => mark(db, ann, 'bounced', at(1)))
  t.equal(results.filter(Boolean).length, 1)
  t.strictSame(await db.mailSuppression.findMany(), [{ address: ann, reason: 'bounced', at: at(1) }])
  const mixed = await twenty((n) =>
    n % 2 ? lift(db, ann, at(n + 2)) : mark(db, ann, 'complained', at(n + 2)),
  )
  t.equal(mixed.length, 20)
  t.strictSame((await db.mailSuppression.findMany())[0]?.at, at(21), 'of different reports the newest stays')
  t.equal(await findSuppression(db, ann), undefined)
})

const link = 'https://example.test/?token=canary'
const where = { at: START, ip: '192.0.2.1', userAgent: undefined }
const locked = { ...where, link, resetLink: link, minutes: 60, everywhere: false, passwordKnown: false }
const needed: MailContent[] = [
  { template: 'confirm_registration', data: { registrations: [{ link }], minutes: 60 } },
  { template: 'verify_email', data: { link, minutes: 60 } },
  { template: 'already_registered', data: { resetLink: link } },
  { template: 'reset_password', data: { link, minutes: 60 } },
  { template: 'confirm_email_change', data: { link, minutes: 60, oldEmail: 'old@example.test' } },
  { template: 'account_locked', data: locked },
  { template: 'reset_required', data: { link, minutes: 60 } },
  { template: 'factors_reset_requested', data: { link, at: START, effectiveAt: START } },
]
const notices: MailContent[] = [
  { template: 'password_changed', data: { at: START } },
  { template: 'refresh_reuse_detected', data: { at: START } },
  { template: 'account_deleted', data: { at: START } },
  { template: 'new_device', data: where },
  { template: 'email_change_taken', data: { oldEmail: 'old@example.test' } },
  { template: 'email_change_requested', data: { ...where, newEmail: 'new@example.test' } },
  { template: 'email_changed', data: { ...where, newEmail: 'new@example.test' } },
  { template: 'factor_changed', data: { ...where, change: 'totp_enabled' } },
  { template: 'account_exported', data: where },
  { template: 'factors_reset', data: { at: START } },
]

/** Delivers one mail of each template. */
async function deliverAll(failure?: Error) {
  const sent: Mail[] = []
  const logged: object[] = []
  const counted: string[] = []
  const mailer: Mailer = {
    name: 'fake',
    async send(mail) {
      if (failure) throw failure
      sent.push(mail)
    },
  }
  const log = { ...silentLog, warn: (fields: object) => void logged.push(fields) }
  const queue = openMailQueue({
    db,
    poll,
    clock: { now: () => START },
    mailer,
    log,
    countMail: (template, result) => void counted.push(`${template} ${result}`),
  })
  for (const content of [...needed, ...notices]) await queue.enqueue(ann, content)
  await queue.drain()
  return { sent, logged, counted: counted.sort() }
}
const lines = (contents: readonly MailContent[], result: string) =>
  contents.map(({ template }) => `${template} ${result}`)

t.test('no mail is sent to an address that bounced', async (t) => {
  await mark(db, ann, 'bounced', at(0))
  const { sent, logged, counted } = await deliverAll()
  t.equal(sent.length, 0)
  t.strictSame(counted, lines([...needed, ...notices], 'suppressed').sort())
  t.equal(logged.length, needed.length + notices.length)
  t.match(logged[0], { event: 'mail_suppressed', outboxId: String, template: String, reason: 'bounced' })
  t.notMatch(JSON.stringify(logged), /ann@|canary/)
  for (const row of await db.outboxMessage.findMany()) {
    t.match(row, { sentAt: null, gaveUpAt: new Date(START), lastError: 'suppressed: bounced' })
    t.equal(row.sealed.length, 0)
  }
})

t.test('an address that complained gets the mails it needs, but no notices', async (t) => {
  await mark(db, ann, 'complained', at(0))
  const { sent, counted } = await deliverAll()
  t.equal(sent.length, needed.length)
  t.strictSame(counted, [...lines(needed, 'sent'), ...lines(notices, 'suppressed')].sort())
  t.ok(needed.every(({ template }) => isHeldBack(template, 'bounced')))
})

t.test('all mails are sent again once the suppression is lifted', async (t) => {
  await mark(db, ann, 'bounced', at(0))
  await lift(db, ann, at(1))
  t.equal((await deliverAll()).sent.length, needed.length + notices.length)
})

t.test('a rejection that is not about the address suppresses none', async (t) => {
  const { counted } = await deliverAll(new MailRejected('smtp delivery failed: EENVELOPE at RCPT TO 550'))
  t.strictSame(counted, lines([...needed, ...notices], 'given_up').sort())
  t.equal(await db.mailSuppression.count(), 0)
  await db.outboxMessage.deleteMany()
  const delayed = await deliverAll(new Error('down'))
  t.strictSame(delayed.counted, lines([...needed, ...notices], 'delayed').sort())
})
