import t from 'tap'
import { mark } from '../../src/core/mail/suppression.ts'
import { hold } from '../../src/core/outbox/holds.ts'
import { openTestDatabase } from '../support/database.ts'
import { runRatchet } from '../support/ratchet.ts'
import { jsonLines } from '../support/users-command.ts'

const database = await openTestDatabase(t)
const { db } = database
const ratchet = (...args: string[]) => runRatchet(args, { DATABASE_URL: database.url })

t.test('suppressed addresses can be listed, and allowed again', async (t) => {
  t.match(await ratchet('mail', 'suppressed'), { stdout: '', stderr: 'none\n' })
  const [early, late] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)]
  await mark(db, 'ann@example.com', 'complained', early)
  await mark(db, 'bob@example.com', 'bounced', late)
  const { stdout } = await ratchet('mail', 'suppressed')
  t.equal(
    stdout,
    `bob@example.com  bounced  ${late.toISOString()}\nann@example.com  complained  ${early.toISOString()}\n`,
  )
  const allowed = await ratchet('mail', 'allow', ' BOB@example.com')
  t.match(allowed.stdout, 'mail to that address goes out again')
  const json = jsonLines((await ratchet('mail', 'suppressed', '--json')).stdout)
  t.strictSame(json, [{ address: 'ann@example.com', reason: 'complained', at: early.toISOString() }])
  t.equal(
    await mark(db, 'bob@example.com', 'bounced', late),
    false,
    'the same report does not suppress it again',
  )
})

t.test('an address is shown in Unicode, and allowed in any spelling', async (t) => {
  await db.mailSuppression.deleteMany()
  await mark(db, 'ann@xn--bcher-kva.example', 'bounced', new Date(Date.now() - 1_000))
  t.match((await ratchet('mail', 'suppressed')).stdout, /^ann@bücher\.example {2}bounced/)
  t.match(JSON.parse((await ratchet('mail', 'suppressed', '--json')).stdout), {
    address: 'ann@bücher.example',
  })
  t.match((await ratchet('mail', 'allow', 'ANN@bücher。example')).stdout, 'goes out again')
  t.match(await ratchet('mail', 'suppressed'), { stdout: '', stderr: 'none\n' })
  await mark(db, 'ann@example.com', 'complained', new Date())
})

t.test('mail that waits, is held or was given up can be listed, and a hold can be ended', async (t) => {
  t.match(await ratchet('mail', 'list'), { stdout: '', stderr: 'none\n' })
  const hour = 3_600_000
  const now = Date.now()
  const message = (id: number, more: object) => ({
    id: `00000000-0000-7000-8000-00000000000${id}`,
    topic: 'reset_password',
    recipient: `user${id}@example.com`,
    sealed: new Uint8Array(),
    createdAt: new Date(now),
    nextAttemptAt: new Date(now - 1),
    expiresAt: new Date(now + hour),
    ...more,
  })
  const later = new Date(now + hour / 2)
  const data = [
    message(1, { nextAttemptAt: later, attempts: 4, lastError: 'smtp delivery failed: 550 5.7.1' }),
    message(2, {}),
    message(3, { gaveUpAt: new Date(now), lastError: 'expired' }),
    message(4, { sentAt: new Date(now) }),
  ]
  await db.outboxMessage.createMany({ data })
  const ends = new Date(now + hour).toISOString()
  const given = `given_up  reset_password  user3@example.com  on ${new Date(now).toISOString()}  expired\n`
  const tried = `next ${later.toISOString()}  ends ${ends}  smtp delivery failed: 550 5.7.1\n`
  const { stdout } = await ratchet('mail', 'list')
  t.equal(
    stdout,
    `waiting  reset_password  user2@example.com  next ${new Date(now - 1).toISOString()}  ends ${ends}\n` +
      `waiting  reset_password  user1@example.com  ${tried}${given}`,
  )
  const { until } = await hold(db, 'mail', now, { reason: 'resend answered 429', retryAfterMs: hour / 4 })
  const { stdout: lines } = await ratchet('mail', 'list', '--json', '--limit', '2')
  const listed = lines
    .trimEnd()
    .split('\n')
    .map((row) => JSON.parse(row))
  t.match(listed, [
    {
      state: 'held',
      template: 'reset_password',
      recipient: 'user2@example.com',
      attempts: 0,
      next_attempt_at: new Date(until).toISOString(),
      ends_at: ends,
      last_error: 'resend answered 429',
    },
    { state: 'waiting', recipient: 'user1@example.com', attempts: 4 },
    { state: 'given_up', recipient: 'user3@example.com', next_attempt_at: null },
  ])
  t.match((await ratchet('mail', 'resume')).stdout, 'tried again')
  t.equal(await db.outboxHold.count(), 0)
  await t.rejects(ratchet('mail', 'resume'), { code: 1, stderr: /not held/ })
})

t.test('an action that is impossible is reported', async (t) => {
  const before = await db.mailSuppression.findMany()
  for (const [code, ...args] of [
    [2],
    [2, 'allow'],
    [1, 'allow', 'nobody@example.com'],
    [1, 'allow', 'bob@example.com'],
    [2, 'allow', 'ann@example.com', 'bob@example.com'],
    [2, 'suppressed', 'ann@example.com'],
    [2, 'suppressed', '--all'],
    [2, 'suppressed', '--limit', '5'],
    [2, 'list', '--limit', '0'],
    [2, 'resume', '--json'],
    [2, 'toString'],
  ] as [number, ...string[]][]) {
    const stderr = /^ratchet mail: [^\n]+\n$/
    await t.rejects(ratchet('mail', ...args), { code, stderr }, args.join(' '))
  }
  t.strictSame(
    await db.mailSuppression.findMany({ where: { reason: 'complained' } }),
    before.filter(({ reason }) => reason === 'complained'),
  )
})
