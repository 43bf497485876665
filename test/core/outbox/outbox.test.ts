import t from 'tap'
import type { MailContent } from '../../../src/core/mail/mail-data.ts'
import { type Mail, type Mailer, MailRejected } from '../../../src/core/mail/mailer.ts'
import { describeFailure, retryDelay } from '../../../src/core/outbox/retry.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { becomes } from '../../support/eventually.ts'
import { openMailQueue } from '../../support/mail.ts'
import { silentLog } from '../../support/monitor.ts'

const HOUR = 3_600_000
const START = Date.UTC(2026, 0, 1)
const to = 'ann@example.test'
const link = 'https://example.test/verify?token=canary'
const verify: MailContent = { template: 'verify_email', data: { link, minutes: 60 } }

const { db, poll } = await openTestDatabase(t)
const transact = createTransact(db)

/** A mailer that fails on request, with a recording log and a clock. */
function setup() {
  const state = {
    now: START,
    failure: null as Error | null,
    sent: [] as Mail[],
    logged: [] as object[],
    delay: 0,
  }
  const mailer: Mailer = {
    name: 'fake',
    async send(mail) {
      await new Promise((resolve) => setTimeout(resolve, state.delay))
      if (state.failure) throw state.failure
      state.sent.push(mail)
    },
  }
  const write = (fields: object) => void state.logged.push(fields)
  const log = { ...silentLog, warn: write, error: write }
  const clock = { now: () => state.now }
  const create = () => openMailQueue({ db, poll, clock, mailer, log })
  return { state, create, outbox: create() }
}

const rows = () => db.outboxMessage.findMany({ orderBy: { id: 'asc' } })

t.beforeEach(async () => {
  await db.outboxMessage.deleteMany()
})

t.test('an unavailable provider delays a mail but loses none', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue(to, verify)
  state.failure = new Error(`cannot reach ${to} with ${link}`)
  await outbox.drain()
  await outbox.drain()
  const [waiting] = await rows()
  t.match(waiting, {
    attempts: 1,
    sentAt: null,
    gaveUpAt: null,
    lastError: 'cannot reach [address] with [link]',
  })
  const delay = Number(waiting?.nextAttemptAt) - START
  t.ok(delay >= 4_000 && delay <= 6_000, `tried again after ${delay} ms`)

  state.failure = null
  state.now += 10_000
  await outbox.drain()
  await outbox.drain()
  t.equal(state.sent.length, 1, 'sent exactly once')
  t.match(state.sent[0], { id: waiting?.id, to, text: link })
  const [sent] = await rows()
  t.match(sent, { attempts: 2, sentAt: new Date(state.now), gaveUpAt: null, lastError: null })
  t.equal(sent?.sealed.length, 0, 'emptied once sent')
  t.notMatch(JSON.stringify(state.logged), /canary|ann@/)
})

t.test('the stored row contains no readable link', async (t) => {
  const { outbox } = setup()
  await outbox.enqueue(to, verify)
  const dump = await db.$queryRaw<{ text: string }[]>`
    SELECT encode(sealed, 'escape') || outbox_messages::text AS text FROM outbox_messages`
  t.equal(dump.length, 1)
  t.notMatch(dump[0]?.text, /canary|example\.test\/verify/)
})

t.test('a mail is sent only if its transaction commits', async (t) => {
  const { state, outbox } = setup()
  const transaction = transact(async (tx) => {
    await outbox.enqueueIn(tx, { email: to }, verify)
    throw new Error('rolled back')
  })
  await t.rejects(transaction, { message: 'rolled back' })
  await outbox.drain()
  t.equal(state.sent.length, 0)
})

t.test('parallel workers send each mail once', async (t) => {
  const { state, create } = setup()
  const workers = [create(), create(), create()]
  for (let n = 0; n < 45; n++) await workers[0]?.enqueue(`user${n}@example.test`, verify)
  // Slow writes make every claim overlap the others.
  await db.$executeRaw`CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END'`
  await db.$executeRaw`CREATE TRIGGER dawdle BEFORE UPDATE ON outbox_messages FOR EACH ROW EXECUTE FUNCTION dawdle()`
  await Promise.all(workers.map((worker) => worker.drain()))
  await db.$executeRaw`DROP FUNCTION dawdle CASCADE`
  t.equal(state.sent.length, 45)
  t.equal(new Set(state.sent.map(({ to }) => to)).size, 45)
})

t.test('another worker takes over when the lease of a crashed one expires', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue(to, verify)
  await db.outboxMessage.updateMany({ data: { attempts: 1, nextAttemptAt: new Date(START + 60_000) } })
  state.now += 59_000
  await outbox.drain()
  t.equal(state.sent.length, 0)
  state.now += 1_000
  await outbox.drain()
  t.equal(state.sent.length, 1)
})

t.test('a rejected mail is given up at once, which is logged', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue(to, verify)
  state.failure = new MailRejected('resend answered 422 validation_error')
  await outbox.drain()
  const [row] = await rows()
  t.match(row, { gaveUpAt: new Date(START), sentAt: null, lastError: 'resend answered 422 validation_error' })
  t.equal(row?.sealed.length, 0)
  t.match(state.logged, [{ code: 'mail_given_up', outboxId: row?.id, template: 'verify_email', attempts: 1 }])
  t.notMatch(JSON.stringify(state.logged), /canary|ann@/)
  state.failure = null
  state.now += HOUR
  await outbox.drain()
  t.equal(state.sent.length, 0)
})

t.test('a mail without a link is retried at least hourly for a day, then given up', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue(to, { template: 'account_deleted', data: { at: START } })
  state.failure = new Error('down')
  let attempts = 0
  for (; ; attempts++) {
    const next = Number((await rows())[0]?.nextAttemptAt)
    t.ok(next - state.now <= HOUR)
    state.now = next
    await outbox.drain()
    if ((await rows())[0]?.gaveUpAt) break
  }
  t.ok(state.now - START >= 24 * HOUR && state.now - START < 25 * HOUR, `${attempts} attempts`)
  t.match(await rows(), [{ attempts, lastError: 'expired; before: down' }])
  t.equal((await rows())[0]?.sealed.length, 0)
  t.match(state.logged.at(-1), { code: 'mail_given_up', attempts, reason: 'expired; before: down' })
})

t.test('a recipient cannot inject a header', async (t) => {
  const { outbox } = setup()
  for (const bad of ['a@b.test\r\nBcc: c@d.test', 'a@b.test\n', 'a@b.test\0', '']) {
    await t.rejects(outbox.enqueue(bad, verify), TypeError)
  }
  t.equal(await db.outboxMessage.count(), 0)
})

t.test('a started outbox sends when woken and when polled, but not after it was stopped', async (t) => {
  const woken = setup()
  woken.outbox.start()
  await transact((tx) => woken.outbox.enqueueIn(tx, { email: to }, verify))
  await becomes(t, () => woken.state.sent.length === 1, 'woken')
  await woken.outbox.stop()

  await poll.start()
  const polled = setup()
  polled.outbox.start()
  await polled.outbox.enqueue(to, verify)
  await becomes(t, () => polled.state.sent.length === 1, 'polled')
  polled.state.delay = 100
  await polled.outbox.enqueue(to, verify)
  await becomes(t, async () => (await rows()).some((row) => row.attempts && !row.sentAt), 'in flight')
  await polled.outbox.stop()
  t.equal(polled.state.sent.length, 2, 'stop awaits the mail in flight')
  t.notOk((await rows()).some((row) => !row.sentAt))
  await transact((tx) => polled.outbox.enqueueIn(tx, { email: to }, verify))
  // This would await anything in flight.
  await polled.outbox.stop()
  t.equal(polled.state.sent.length, 2)
  await poll.stop()
})

t.test('a database failure is logged and the query is retried', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue(to, verify)
  // The worker fails, and not the poll.
  await db.$executeRaw`ALTER TABLE outbox_messages RENAME COLUMN attempts TO renamed`
  await poll.start()
  outbox.start()
  await becomes(t, () => state.logged.length > 0, 'the failure is logged')
  await db.$executeRaw`ALTER TABLE outbox_messages RENAME COLUMN renamed TO attempts`
  await becomes(t, () => state.sent.length === 1, 'the mail is sent once the database is back')
  await outbox.stop()
  await poll.stop()
  t.match(state.logged[0], { code: 'outbox_unavailable' })
})

t.test('delays grow to an hour and stay there', async (t) => {
  const middle = (attempts: number) => retryDelay(attempts, () => 0.5) / 1000
  t.same([1, 2, 3, 4, 5, 6, 7, 50].map(middle), [5, 30, 120, 600, 1800, 3600, 3600, 3600])
  t.equal(
    retryDelay(9, () => 1),
    HOUR,
  )
  t.equal(describeFailure('a string'), 'unknown error')
})
