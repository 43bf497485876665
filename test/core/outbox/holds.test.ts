import t from 'tap'
import type { MailContent } from '../../../src/core/mail/mail-data.ts'
import { type Mail, type Mailer, MailRefused, ProviderUnavailable } from '../../../src/core/mail/mailer.ts'
import { createResendMailer } from '../../../src/core/mail/resend-mailer.ts'
import { hold, liftHold } from '../../../src/core/outbox/holds.ts'
import { openTestDatabase } from '../../support/database.ts'
import { becomes } from '../../support/eventually.ts'
import { openMailQueue } from '../../support/mail.ts'
import { startMailProvider } from '../../support/mail-provider.ts'
import { silentLog } from '../../support/monitor.ts'
import { twenty } from '../../support/server.ts'

const START = Date.UTC(2026, 0, 1)
const SECOND = 1_000
const MINUTE = 60_000
const reset: MailContent = {
  template: 'reset_password',
  data: { link: 'https://example.test/reset-password?token=canary', minutes: 60 },
}

const { db, poll } = await openTestDatabase(t)
t.beforeEach(async () => {
  await db.outboxMessage.deleteMany()
  await db.outboxHold.deleteMany()
})

/** Nodes that share a database, a clock and a mailer that fails on request. */
function setup({ nodes = 1 } = {}) {
  const state = {
    now: START,
    failure: null as Error | null,
    attempts: 0,
    sent: [] as Mail[],
    logged: [] as object[],
    counted: [] as string[],
  }
  const mailer: Mailer = {
    name: 'fake',
    async send(mail) {
      state.attempts += 1
      if (state.failure) throw state.failure
      state.sent.push(mail)
    },
  }
  const write = (level: string) => (fields: object) => void state.logged.push({ level, ...fields })
  const log = { ...silentLog, info: write('info'), warn: write('warn'), error: write('error') }
  const clock = { now: () => state.now }
  const countMail = (_template: string, result: string) => void state.counted.push(result)
  const open = () => openMailQueue({ db, poll, clock, mailer, log, countMail })
  const outbox = open()
  return { state, outbox, queues: [outbox, ...Array.from({ length: nodes - 1 }, open)] }
}

const rows = () => db.outboxMessage.findMany({ orderBy: { id: 'asc' } })
const heldUntil = async () => Number((await db.outboxHold.findFirst())?.heldUntil)

for (const nodes of [1, 2]) {
  t.test(
    `107 mails leave within a minute from ${nodes} node(s) if the provider takes two a second`,
    async (t) => {
      let now = START
      const clock = { now: () => now }
      const provider = await startMailProvider(t, { clock, perSecond: 2 })
      const mailer = createResendMailer({ apiKey: 're_test', baseUrl: provider.url, from: 'a@example.test' })
      const queues = Array.from({ length: nodes }, () =>
        openMailQueue({ db, poll, clock, mailer, log: silentLog }),
      )
      for (let n = 0; n < 107; n++) await queues[0]?.enqueue(`user${n}@example.test`, reset)
      // Every node works until it is held; then the clock moves to the end of the hold.
      while (provider.accepted.size < 107 && now < START + 10 * MINUTE) {
        await Promise.all(queues.map((queue) => queue.drain()))
        if (provider.accepted.size < 107) now = await heldUntil()
      }
      t.equal(provider.accepted.size, 107)
      t.ok(now <= START + MINUTE, `${(now - START) / SECOND} s`)
      t.ok(provider.refused() <= 10 * nodes + 54 * 2 * nodes, `${provider.refused()} were refused meanwhile`)
      const all = await rows()
      t.ok(
        all.every(({ sentAt, attempts }) => sentAt && attempts === 1),
        'what was held does not count as an attempt',
      )
    },
  )
}

t.test(
  'a refusal of everything holds every mail on every node, for the time that the provider names',
  async (t) => {
    const { state, outbox: one, queues } = setup({ nodes: 2 })
    await one.enqueue('ann@example.test', reset)
    state.failure = new ProviderUnavailable('resend answered 429 rate_limit_exceeded', {
      retryAfterMs: 90 * SECOND,
    })
    await one.drain()
    await one.enqueue('bob@example.test', reset)
    state.failure = null
    state.now += 89 * SECOND
    for (const node of queues) await node.drain()
    t.equal(state.attempts, 1)
    t.match(await rows(), [{ attempts: 0, sentAt: null, gaveUpAt: null }, { attempts: 0 }])
    t.match(state.logged, [
      { level: 'warn', code: 'mail_held', until: new Date(START + 90 * SECOND).toISOString() },
    ])
    state.now += SECOND
    await queues[1]?.drain()
    t.equal(state.sent.length, 2)
    t.equal(await db.outboxHold.count(), 0)
    t.strictSame(state.counted, ['held', 'sent', 'sent'])
  },
)

t.test(
  'a provider that names no time is asked after one second, two, four, and then every minute',
  async (t) => {
    const { state, outbox } = setup()
    for (const name of ['ann', 'bob', 'cem']) await outbox.enqueue(`${name}@example.test`, reset)
    state.failure = new ProviderUnavailable('resend gave no answer (ECONNREFUSED)')
    const pauses = []
    for (let round = 0; round < 9; round++) {
      await outbox.drain()
      pauses.push(((await heldUntil()) - state.now) / SECOND)
      state.now = await heldUntil()
    }
    t.strictSame(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60])
    t.equal(state.attempts, 3 + 8, 'after the first refusal one mail is tried at a time')
    state.failure = null
    await outbox.drain()
    t.equal(state.sent.length, 3)
    t.ok((await rows()).every(({ attempts }) => attempts === 1))
    state.failure = new ProviderUnavailable('resend gave no answer (ECONNREFUSED)')
    await outbox.enqueue('dan@example.test', reset)
    await outbox.drain()
    t.equal((await heldUntil()) - state.now, SECOND, 'the row of refusals has ended')
  },
)

t.test('parallel refusals are one, and a shorter hold does not shorten a longer one', async (t) => {
  const holds = await twenty(() => hold(db, 'mail', START, { reason: 'down' }))
  t.equal(holds.filter(({ isNew }) => isNew).length, 1)
  t.match(await db.outboxHold.findMany(), [{ refusals: 1, heldUntil: new Date(START + SECOND) }])
  const named = await twenty((n) =>
    hold(db, 'mail', START, { reason: 'down', retryAfterMs: (n + 1) * SECOND }),
  )
  t.equal(Math.max(...named.map(({ until }) => until)), START + 20 * SECOND)
  t.equal(await heldUntil(), START + 20 * SECOND)
  await hold(db, 'mail', START, { reason: 'down' })
  t.equal(await heldUntil(), START + 20 * SECOND)
  await hold(db, 'mail', START, { reason: 'down', retryAfterMs: 400 * 24 * 60 * MINUTE })
  t.equal(await heldUntil(), START + 24 * 60 * MINUTE, 'no provider holds mail for more than a day')
  t.equal(await liftHold(db, 'mail', START), true)
  t.equal(await liftHold(db, 'mail', START), false)
})

t.test('a provider that names no time to wait at all is not asked in a loop', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue('ann@example.test', reset)
  state.failure = new ProviderUnavailable('resend answered 429 rate_limit_exceeded', { retryAfterMs: 0 })
  await outbox.drain()
  t.equal(state.attempts, 1)
  t.equal(await heldUntil(), START + SECOND)
})

t.test('the configuration is named as the cause, of a hold and of a single refusal', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue('ann@example.test', reset)
  state.failure = new ProviderUnavailable('resend answered 401 invalid_api_key', { isMisconfigured: true })
  await outbox.drain()
  t.match(state.logged, [
    { level: 'error', code: 'mail_held', reason: 'resend answered 401 invalid_api_key' },
  ])
  state.now += SECOND
  state.failure = new MailRefused('smtp delivery failed: EENVELOPE at RCPT TO 550 5.7.1')
  await outbox.drain()
  t.match(state.logged[1], { level: 'error', code: 'mail_refused', template: 'reset_password', attempts: 1 })
  t.match(await rows(), [{ attempts: 1, gaveUpAt: null, lastError: state.failure.message }])
  t.strictSame(state.counted, ['held', 'refused'])
  t.notMatch(JSON.stringify(state.logged), /canary|ann@/)
})

t.test('mail is given up when its link ends, also while it is held', async (t) => {
  const { state, outbox } = setup()
  await outbox.enqueue('ann@example.test', reset)
  state.failure = new ProviderUnavailable('resend answered 429 daily_quota_exceeded', {
    retryAfterMs: 12 * 60 * MINUTE,
  })
  await outbox.drain()
  state.failure = null
  state.now = START + 60 * MINUTE - 1
  await outbox.drain()
  t.match(await rows(), [{ gaveUpAt: null }])
  state.now += 1
  await outbox.drain()
  const reason = 'expired; before: resend answered 429 daily_quota_exceeded'
  t.match(await rows(), [{ gaveUpAt: new Date(state.now), lastError: reason, attempts: 0 }])
  t.equal((await rows())[0]?.sealed.length, 0)
  t.match(state.logged.at(-1), { level: 'error', code: 'mail_given_up', template: 'reset_password', reason })
  state.now += 24 * 60 * MINUTE
  await outbox.drain()
  t.equal(state.sent.length, 0)
})

t.test('a started outbox goes on by itself when a hold ends', async (t) => {
  const state = { refuse: 1, sent: 0 }
  const mailer: Mailer = {
    name: 'fake',
    async send() {
      if (state.refuse-- > 0) throw new ProviderUnavailable('busy', { retryAfterMs: 50 })
      state.sent += 1
    },
  }
  // The poll does not run: only the timer can wake it.
  const outbox = openMailQueue({ db, poll, clock: { now: () => Date.now() }, mailer, log: silentLog })
  for (let n = 0; n < 5; n++) await outbox.enqueue(`user${n}@example.test`, reset)
  outbox.start()
  await outbox.drain()
  await becomes(t, () => state.sent === 5, 'all are sent')
  await outbox.stop()
})

t.test('the poll finds what was held once the hold has ended', async (t) => {
  const { state, outbox } = setup()
  for (let n = 0; n < 3; n++) await outbox.enqueue(`user${n}@example.test`, reset)
  await hold(db, 'mail', START, { reason: 'down', retryAfterMs: MINUTE })
  outbox.start()
  await poll.start()
  state.now += MINUTE
  await becomes(t, () => state.sent.length === 3, 'it finds them when the hold has ended')
  await outbox.stop()
  await poll.stop()
})
