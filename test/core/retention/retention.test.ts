import { randomBytes } from 'node:crypto'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { createRetention, RETENTION_LOCK } from '../../../src/core/retention/retention.ts'
import { openDatabase } from '../../../src/platform/database.ts'
import { statementsOf, waitsOf } from '../../support/costs.ts'
import { createTestDatabase } from '../../support/database.ts'
import { becomes } from '../../support/eventually.ts'
import { silentLog, silentMetrics } from '../../support/monitor.ts'

const NOW = Date.UTC(2026, 5, 1)
const AUDIT_DAYS = 100

const database = await createTestDatabase()
const [one, two] = [openDatabase({ url: database.url }), openDatabase({ url: database.url })]
const { db } = one
t.teardown(async () => {
  await Promise.all([one.close(), two.close()])
  await database.drop()
})

const ago = (days: number, ms = 0) => new Date(NOW - days * 86_400_000 - ms)
const userId = uuidv7()
await db.user.create({ data: { id: userId, email: 'ann@example.test', passwordHash: '' } })

function setup(options: { db?: typeof db; now?: () => number; intervalMs?: number } = {}) {
  const { now = () => NOW, ...rest } = options
  const warnings: object[] = []
  const log = { ...silentLog, warn: (details: object) => void warnings.push(details) }
  const retention = createRetention({
    db,
    clock: { now },
    log,
    metrics: silentMetrics,
    auditDays: AUDIT_DAYS,
    ...rest,
  })
  t.after(() => retention.stop())
  return { retention, warnings }
}

const mail = (state: { sentAt?: Date; gaveUpAt?: Date }, createdAt = ago(400)) => ({
  id: uuidv7(),
  topic: 'verify_email',
  recipient: 'ann@example.test',
  sealed: new Uint8Array(),
  nextAttemptAt: createdAt,
  createdAt,
  ...state,
})
const token = (expiresAt: Date) => ({
  id: uuidv7(),
  purpose: 'verify_email',
  tokenHash: new Uint8Array(randomBytes(32)),
  userId,
  securityVersion: 1,
  expiresAt,
})
const session = (absoluteExpiresAt: Date, ended?: Date) => ({
  id: uuidv7(),
  familyHash: new Uint8Array(randomBytes(32)),
  clientId: 'first-party',
  transport: 'body',
  scope: 'account',
  amr: ['pwd'],
  rotatedAt: ago(200),
  authTime: ago(200),
  createdAt: ago(200),
  lastUsedAt: ago(200),
  idleExpiresAt: absoluteExpiresAt,
  absoluteExpiresAt,
  ...(ended ? { endedAt: ended, endedReason: 'logout', tombstonedAt: ended } : {}),
})
const event = (at: Date) => ({ id: uuidv7(), at, type: 'login', outcome: 'success' })
const many = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)

/** Creates old rows in every table and returns how many. */
async function plant(counts: { mails: number; tokens: number; sessions: number; events: number }) {
  await db.outboxMessage.createMany({ data: many(counts.mails, () => mail({ sentAt: ago(8) })) })
  await db.oneTimeToken.createMany({ data: many(counts.tokens, () => token(ago(2))) })
  await db.session.createMany({ data: many(counts.sessions, () => session(ago(31))) })
  await db.auditEvent.createMany({ data: many(counts.events, () => event(ago(AUDIT_DAYS + 1))) })
  return counts.mails + counts.tokens + counts.sessions + counts.events
}

const left = async () =>
  (await db.outboxMessage.count()) +
  (await db.oneTimeToken.count()) +
  (await db.session.count()) +
  (await db.auditEvent.count())

t.beforeEach(async () => {
  await db.outboxMessage.deleteMany()
  await db.oneTimeToken.deleteMany()
  await db.session.deleteMany()
  await db.auditEvent.deleteMany()
})

t.test('old rows are deleted and younger ones kept, to the millisecond', async (t) => {
  const mails = {
    sent: mail({ sentAt: ago(7) }),
    sentBefore: mail({ sentAt: ago(7, 1) }),
    givenUp: mail({ gaveUpAt: ago(30) }),
    givenUpBefore: mail({ gaveUpAt: ago(30, 1) }),
    queued: mail({}),
  }
  const tokens = { expired: token(ago(1)), expiredBefore: token(ago(1, 1)), valid: token(ago(-1)) }
  const sessions = {
    expired: session(ago(30)),
    expiredBefore: session(ago(30, 1)),
    endedBefore: session(ago(30, 1), ago(100)),
    endedLongAgo: session(ago(-1), ago(89)),
    live: session(ago(-1)),
  }
  const events = { old: event(ago(AUDIT_DAYS)), older: event(ago(AUDIT_DAYS, 1)), fresh: event(ago(0)) }
  await db.outboxMessage.createMany({ data: Object.values(mails) })
  await db.oneTimeToken.createMany({ data: Object.values(tokens) })
  for (const data of Object.values(sessions)) await db.session.create({ data })
  await db.auditEvent.createMany({ data: Object.values(events) })

  const { retention, warnings } = setup()
  t.equal(await retention.run(), 6)
  const ids = (rows: { id: string }[]) => rows.map(({ id }) => id).sort()
  t.strictSame(
    ids(await db.outboxMessage.findMany()),
    ids([mails.sent, mails.givenUp, mails.queued]),
    'mail that is still to be sent is never deleted',
  )
  t.strictSame(ids(await db.oneTimeToken.findMany()), ids([tokens.expired, tokens.valid]))
  t.strictSame(
    ids(await db.session.findMany()),
    ids([sessions.expired, sessions.endedLongAgo, sessions.live]),
    'an ended session stays as long as its tokens would be valid',
  )
  t.strictSame(ids(await db.auditEvent.findMany()), ids([events.old, events.fresh]))
  t.equal(await retention.run(), 0, 'nothing is left to delete')
  t.strictSame(warnings, [])
  t.equal(await db.user.count(), 1)
})

t.test('of failed guesses only the count behind the lasting lock is kept for long', async (t) => {
  const counter = (bucket: string, updatedAt: Date, resetsAt: Date | null = updatedAt) => ({
    account: new Uint8Array(32),
    bucket,
    failures: 10,
    resetsAt,
    updatedAt,
  })
  await db.guessCounter.createMany({
    data: [
      counter('password:192.0.2.1', ago(1, 1)),
      counter('password:192.0.2.2', ago(1)),
      counter('password:lasting', ago(400), null),
      counter('second_factor:lasting', ago(400, 1), null),
    ],
  })
  t.equal(await setup().retention.run(), 2)
  const rows = await db.guessCounter.findMany({ orderBy: { bucket: 'asc' } })
  t.strictSame(
    rows.map(({ bucket }) => bucket),
    ['password:192.0.2.2', 'password:lasting'],
  )
  await db.guessCounter.deleteMany()
})

t.test('one run deletes more rows than a batch, even if the last batch is full', async (t) => {
  const total = await plant({ mails: 1_000, tokens: 1_001, sessions: 2_000, events: 2_500 })
  await db.auditEvent.create({ data: event(ago(1)) })
  t.equal(await setup().retention.run(), total)
  t.equal(await left(), 1)
})

t.test('an index serves every statement, in whatever number rows are due', async (t) => {
  const statements = statementsOf(t)
  await setup().retention.run()
  const deleting = statements().filter((text) => text.startsWith('DELETE'))
  t.equal(deleting.length, 16, 'one for each rule')
  await db.$transaction(async (tx) => {
    // Without indexes Postgres has to scan the table all the same.
    await tx.$executeRaw`SET LOCAL enable_seqscan = off`
    for (const text of deleting) {
      const plan = await tx.$queryRawUnsafe<object[]>(
        `EXPLAIN ${text.replaceAll('$1', "'2026-01-01'::timestamptz")}`,
      )
      t.notMatch(JSON.stringify(plan), /Seq Scan/, text)
    }
  })
})

t.test('it pauses after each full batch, so that requests come first', async (t) => {
  const waits = waitsOf(t, 'retention/retention.ts')
  await plant({ mails: 999, tokens: 1_000, sessions: 2_500, events: 0 })
  await setup().retention.run()
  t.equal(waits.length, 3, 'one batch of links and two of sessions')
})

t.test('two nodes at the same time delete each row once, and neither fails', async (t) => {
  const total = await plant({ mails: 1_500, tokens: 2_500, sessions: 1_200, events: 3_000 })
  const nodes = [setup(), setup({ db: two.db }), setup(), setup({ db: two.db })]
  const deleted = await Promise.all(nodes.map(({ retention }) => retention.run()))
  t.equal(
    deleted.reduce((sum, count) => sum + count, 0),
    total,
  )
  t.equal(await left(), 0)
  for (const { warnings } of nodes) t.strictSame(warnings, [])
})

t.test('a run deletes nothing while another node is deleting', async (t) => {
  const total = await plant({ mails: 1, tokens: 1, sessions: 1, events: 1 })
  const { retention, warnings } = setup()
  await two.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(${RETENTION_LOCK}::bigint)::text`
    t.equal(await retention.run(), 0)
  })
  t.equal(await left(), total)
  t.equal(await retention.run(), total)
  t.strictSame(warnings, [])
})

t.test('a locked row is left to the next run, and nothing waits for it', async (t) => {
  const total = await plant({ mails: 3, tokens: 3, sessions: 3, events: 3 })
  const { retention, warnings } = setup()
  await two.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT id FROM one_time_tokens LIMIT 1 FOR UPDATE`
    t.equal(await retention.run(), total - 1)
  })
  t.equal(await retention.run(), 1)
  t.strictSame(warnings, [])
})

t.test('a failure is logged and affects no other table; the next run makes up for it', async (t) => {
  const total = await plant({ mails: 2, tokens: 2, sessions: 2, events: 2 })
  const { retention, warnings } = setup()
  await db.$executeRaw`ALTER TABLE sessions RENAME TO sessions_renamed`
  t.equal(await retention.run(), total - 2)
  t.match(warnings, [{ table: 'sessions', reason: '42P01' }])
  await db.$executeRaw`ALTER TABLE sessions_renamed RENAME TO sessions`
  t.equal(await retention.run(), 2)
  t.equal(warnings.length, 1)
})

t.test('an unavailable database ends a run, as in every background task', async (t) => {
  const unavailable = openDatabase({ url: 'postgresql://nobody@127.0.0.1:1/none' })
  t.after(unavailable.close)
  const { retention, warnings } = setup({ db: unavailable.db })
  await t.rejects(retention.run(), { name: 'StoreUnavailable', store: 'postgres' })
  t.strictSame(warnings, [], 'the line of the outage says it')
})

t.test('stop() awaits the batch in flight and starts no other', async (t) => {
  const total = await plant({ mails: 2_500, tokens: 10, sessions: 10, events: 10 })
  let batches = 0
  let stopped: Promise<void> | undefined
  const { retention, warnings } = setup({
    now() {
      batches += 1
      if (batches === 2) stopped = retention.stop()
      return NOW
    },
  })
  const run = retention.run()
  t.equal(await run, 2_000)
  await stopped
  t.equal(batches, 2)
  t.equal(await left(), total - 2_000)
  t.equal(await retention.run(), 0, 'nothing runs after stop()')
  t.strictSame(warnings, [])
  t.equal(await setup().retention.run(), total - 2_000, 'the next process continues')
})

t.test('once started, it runs repeatedly until it is stopped', async (t) => {
  const { retention } = setup({ intervalMs: 20 })
  retention.start()
  for (const round of ['first', 'second']) {
    await plant({ mails: 1, tokens: 1, sessions: 1, events: 1 })
    await becomes(t, async () => (await left()) === 0, `the ${round} rows are deleted without a call`)
  }
  await retention.stop()
  const total = await plant({ mails: 1, tokens: 1, sessions: 1, events: 1 })
  t.equal(await retention.run(), 0)
  t.equal(await left(), total)
})

t.test('a lifted suppression is kept for late reports, then deleted; an active one stays', async (t) => {
  const rows = [
    { address: 'a@example.test', reason: 'lifted', at: ago(30) },
    { address: 'b@example.test', reason: 'lifted', at: ago(30, 1) },
    { address: 'c@example.test', reason: 'bounced', at: ago(400) },
  ]
  await db.mailSuppression.createMany({ data: rows })
  t.equal(await setup().retention.run(), 1)
  const left = await db.mailSuppression.findMany({ orderBy: { address: 'asc' } })
  t.strictSame(left, [rows[0], rows[2]])
})
