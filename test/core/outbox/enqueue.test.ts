import fc from 'fast-check'
import t from 'tap'
import type { MailContent } from '../../../src/core/mail/mail-data.ts'
import type { Mail, Mailer } from '../../../src/core/mail/mailer.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { openMailQueue } from '../../support/mail.ts'
import { silentLog } from '../../support/monitor.ts'
import { check } from '../../support/property.ts'

const START = Date.UTC(2026, 0, 1)
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const to = 'ann@example.test'

const { db, poll } = await openTestDatabase(t)
const transact = createTransact(db)
t.beforeEach(async () => {
  await db.outboxMessage.deleteMany()
})

/** A mail that a newer one replaces: its link has a number. */
const reset = (n: number, minutes = 120): MailContent => ({
  template: 'reset_password',
  data: { link: `https://example.test/?token=n${n}.`, minutes },
})
const notice = (n: number): MailContent => ({
  template: 'email_change_taken',
  data: { oldEmail: `n${n}.` },
})

function setup() {
  const state = {
    now: START,
    sent: [] as (Mail & { at: number })[],
    logged: [] as object[],
    counted: [] as string[],
  }
  const mailer: Mailer = {
    name: 'fake',
    send: async (mail) => void state.sent.push({ ...mail, at: state.now }),
  }
  const log = { ...silentLog, info: (fields: object) => void state.logged.push(fields) }
  const countMail = (_template: string, result: string) => void state.counted.push(result)
  const queue = openMailQueue({ db, poll, clock: { now: () => state.now }, mailer, log, countMail })
  const numbers = () => state.sent.map(({ text }) => Number(/n(\d+)\./.exec(text)?.[1]))
  return { state, queue, numbers }
}

const waiting = () => db.outboxMessage.count({ where: { sentAt: null, gaveUpAt: null } })

t.test('past ten an hour a mail waits, and a newer one takes its place', async (t) => {
  const { state, queue, numbers } = setup()
  for (const round of [0, 5, 10, 15, 20]) {
    const enqueue = (n: number) => transact((tx) => queue.enqueueIn(tx, { email: to }, reset(round + n)))
    await Promise.all([0, 1, 2, 3, 4].map(enqueue))
  }
  await queue.enqueue('bob@example.test', reset(100))
  await queue.enqueue(to, notice(101))
  await queue.drain()
  t.equal(state.sent.length, 12, 'other recipients and other mails do not wait')
  t.equal(await waiting(), 1)
  t.equal(state.counted.filter((result) => result === 'capped').length, 15, 'every one that waits is counted')
  t.match(state.logged[0], { event: 'mail_capped', template: 'reset_password' })
  t.notMatch(JSON.stringify(state.logged), /ann@|token/)

  state.now += 10 * MINUTE
  await queue.enqueue(to, reset(200))
  state.now = START + 15 * MINUTE - 1
  await queue.drain()
  t.equal(state.sent.length, 12)
  state.now += 1
  await queue.drain()
  t.equal(numbers().at(-1), 200, 'the newest left')
  t.equal(state.sent.length, 13)
  t.equal(await waiting(), 0)
})

t.test('mails about different events wait one by one, and none is lost', async (t) => {
  const { state, queue, numbers } = setup()
  for (let n = 0; n < 35; n++) await queue.enqueue(to, notice(n))
  const counts = []
  for (let hour = 0; hour < 4; hour++) {
    await queue.drain()
    counts.push(state.sent.length)
    state.now += HOUR
  }
  t.strictSame(counts, [10, 20, 30, 35])
  t.strictSame(
    numbers().sort((a, b) => a - b),
    Array.from({ length: 35 }, (_, n) => n),
  )
})

t.test('notices that wait for longer than a day are sent too', async (t) => {
  const { state, queue } = setup()
  for (let n = 0; n < 270; n++) await queue.enqueue(to, notice(n))
  for (; (await waiting()) > 0; state.now += HOUR) await queue.drain()
  t.equal(state.sent.length, 270)
  t.equal(state.now - START, 27 * HOUR)
})

t.test('a mail whose link ends before the cap allows it is given up, visibly', async (t) => {
  const { state, queue } = setup()
  for (let n = 0; n < 10; n++) await queue.enqueue(to, reset(n))
  await queue.enqueue(to, reset(10, 14))
  state.now += 14 * MINUTE
  await queue.drain()
  t.match(await db.outboxMessage.findMany({ where: { gaveUpAt: { not: null } } }), [
    { lastError: 'expired', attempts: 0 },
  ])
  t.equal(state.counted.filter((result) => result === 'given_up').length, 1)
})

t.test('a cap of one source does not delay what another asks for', async (t) => {
  const { state, queue, numbers } = setup()
  const ask = (n: number, source: string) =>
    transact((tx) => queue.enqueueIn(tx, { email: to }, reset(n), { delayPast: { source, perHour: 3 } }))
  for (let n = 0; n < 20; n++) await ask(n, '192.0.2.1')
  await queue.drain()
  t.strictSame(numbers().sort(), [0, 1, 2])
  t.equal(await waiting(), 1)
  await ask(50, '198.51.100.2')
  await queue.drain()
  t.equal(numbers().at(-1), 50, 'it took the place of the one that waited, and left at once')
  t.equal(await waiting(), 0)
  await ask(51, '192.0.2.1')
  t.equal(await waiting(), 1)
  t.notMatch(JSON.stringify(await db.outboxMessage.findMany()), /192\.0\.2/)

  // The cap of the recipient holds for all sources together.
  for (let n = 60; n < 80; n++) await ask(n, `203.0.113.${n}`)
  await queue.drain()
  t.equal(state.sent.length, 10)
  t.equal(await waiting(), 1)
  state.now += HOUR
  await queue.drain()
  t.equal(numbers().at(-1), 79)
})

t.test('strangers delay what its owner asks for by a quarter of an hour at most', async (t) => {
  const { state, queue, numbers } = setup()
  const ask = (n: number, source: string) =>
    transact((tx) => queue.enqueueIn(tx, { email: to }, reset(n), { delayPast: { source, perHour: 5 } }))
  for (let n = 0; n < 200; n++) {
    await ask(n, `203.0.113.${n}`)
    state.now += MINUTE
    await queue.drain()
  }
  await ask(500, '192.0.2.1')
  const asked = state.now
  while (!numbers().includes(500)) {
    state.now += MINUTE
    await queue.drain()
    if (state.now > asked + HOUR) break
  }
  t.ok(state.now - asked <= 15 * MINUTE)
})

t.test('a message that was tried keeps its content', async (t) => {
  const { state, queue, numbers } = setup()
  for (let n = 0; n < 11; n++) await queue.enqueue(to, reset(n))
  // A node whose clock is ahead has claimed it.
  await db.outboxMessage.updateMany({
    where: { scheduledAt: { gt: new Date(START) } },
    data: { attempts: 1 },
  })
  await queue.enqueue(to, reset(11))
  t.equal(await db.outboxMessage.count(), 12)
  state.now += HOUR
  await queue.drain()
  await queue.drain()
  t.strictSame(numbers().slice(-2).sort(), [10, 11])
})

t.test('no hour sees more than ten mails, or four more of links, and the newest leaves soon', async (t) => {
  const pauses = fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 1, maxLength: 60 })
  const property = fc.asyncProperty(pauses, fc.boolean(), async (minutes, replaces) => {
    await db.outboxMessage.deleteMany()
    const { state, queue, numbers } = setup()
    /** Delivers what becomes due until then, at its time. */
    async function workUntil(end: number): Promise<void> {
      for (;;) {
        const due = await db.outboxMessage.aggregate({
          _min: { nextAttemptAt: true },
          where: { sentAt: null },
        })
        const next = due._min.nextAttemptAt?.getTime() ?? Number.POSITIVE_INFINITY
        if (next > end) break
        state.now = Math.max(state.now, next)
        await queue.drain()
      }
      state.now = end
    }
    for (const [n, pause] of minutes.entries()) {
      await workUntil(state.now + pause * MINUTE)
      await queue.enqueue(to, replaces ? reset(n, 24 * 60) : notice(n))
    }
    const asked = state.now
    await workUntil(state.now + 24 * HOUR)
    const times = state.sent.map(({ at }) => at).sort((a, b) => a - b)
    const most = replaces ? 14 : 10
    const isCalm = times.every((at, index) => (times[index + most] ?? at + HOUR) - at >= HOUR)
    const left = new Set(numbers())
    return (
      isCalm &&
      left.size === state.sent.length &&
      (replaces
        ? left.has(minutes.length - 1) && (times.at(-1) ?? 0) <= asked + 15 * MINUTE
        : left.size === minutes.length)
    )
  })
  await check(t, property, { numRuns: 8 })
})
