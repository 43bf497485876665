import t from 'tap'
import { bounced, complained, event, startWithResend, suppression } from '../../support/resend.ts'

const server = await startWithResend(t)
const { report, sentTo, metric, freshEmail, password } = server
const reset = (email: string) => server.post('/auth/request-password-reset', { email })
const register = (email: string) => server.post('/auth/register', { email, password })

async function reasonOf(address: string): Promise<string | undefined> {
  return (await server.db.mailSuppression.findUnique({ where: { address } }))?.reason
}

t.test('a permanent bounce stops mail to that address, and to no other', async (t) => {
  const [gone, fine] = [freshEmail(), freshEmail()]
  await register(gone)
  await register(fine)
  t.equal((await sentTo(gone)).length, 1)
  t.equal((await report(bounced([` ${gone.toUpperCase()}`]))).status, 204)
  t.equal(await reasonOf(gone), 'bounced', 'canonical')

  const suppressed = 'ratchet_mails_total{template="confirm_registration",result="suppressed"}'
  const before = await metric(suppressed)
  const answers = [await server.post('/auth/resend-verification', { email: gone })]
  answers.push(await server.post('/auth/resend-verification', { email: fine }))
  t.strictSame(answers[0]?.body, answers[1]?.body)
  t.equal((await sentTo(fine)).length, 2)
  t.equal((await sentTo(gone)).length, 1)
  t.equal(await metric(suppressed), before + 1)
  const row = await server.db.outboxMessage.findFirstOrThrow({ where: { recipient: gone, sentAt: null } })
  t.match(row, { lastError: 'suppressed: bounced', attempts: 1 })
  t.ok(row.gaveUpAt)
  t.equal(row.sealed.length, 0, 'its link is deleted too')

  const lines = server.logs.map((line) => JSON.parse(line)).filter((line) => line.event === 'mail_suppressed')
  t.match(lines, [{ template: 'confirm_registration', outboxId: row.id, reason: 'bounced' }])
  t.notOk(server.logs.join('').includes(gone), 'no log line contains the address')
})

t.test('a report counts for every spelling of the address', async (t) => {
  const address = freshEmail().replace('example.com', 'bücher.example')
  const stored = address.replace('bücher', 'xn--bcher-kva')
  for (const [spelling, reason] of [
    [address, 'bounced'],
    [`${address.toUpperCase()} `, 'complained'],
    [stored, 'bounced'],
  ] as const) {
    await server.db.mailSuppression.deleteMany({ where: { address: stored } })
    await report(reason === 'bounced' ? bounced([spelling]) : complained([spelling]))
    t.equal(await reasonOf(stored), reason, spelling)
  }
  const before = await server.db.mailSuppression.count()
  for (const fault of ['a@b_c.example', 'a..b@example.com', 'Ann <ann@example.com>']) {
    t.equal((await report(bounced([fault]))).status, 204, 'or the provider would send it again and again')
  }
  t.equal(await server.db.mailSuppression.count(), before)
})

t.test('a suppressed address gets the same answers as any other', async (t) => {
  const [marked, clean] = [freshEmail(), freshEmail()]
  await report(bounced([marked]))
  for (const call of [
    register,
    reset,
    register,
    (email: string) => server.post('/auth/resend-verification', { email }),
  ]) {
    const [one, other] = [await call(marked), await call(clean)]
    t.equal(one.status, other.status)
    t.strictSame(one.body, other.body)
    const names = (answer: typeof one) => [...answer.headers.keys()].sort()
    t.strictSame(names(one), names(other))
  }
  const queued = await server.db.outboxMessage.groupBy({
    by: ['recipient'],
    _count: true,
    where: { recipient: { in: [marked, clean] } },
  })
  t.equal(queued[0]?._count, queued[1]?._count, 'the outbox accepts the same mails')
})

t.test('transient and undetermined bounces, deliveries and manual suppressions change nothing', async (t) => {
  const email = freshEmail()
  for (const body of [
    bounced([email], Date.now(), 'Transient'),
    bounced([email], Date.now(), 'Undetermined'),
    event('email.delivered', Date.now(), { to: [email] }),
    event('email.delivery_delayed', Date.now(), { to: [email] }),
    suppression('added', email, Date.now(), 'manual'),
    suppression('added', email, Date.now(), 'constructor'),
  ]) {
    t.equal((await report(body)).status, 204)
    t.equal(await reasonOf(email), undefined)
  }
})

t.test('after a complaint only necessary mails are sent', async (t) => {
  const email = freshEmail()
  await register(email)
  const [subject] = await sentTo(email)
  await report(complained([email]))
  await server.post('/auth/resend-verification', { email })
  t.strictSame(await sentTo(email), [subject, subject], 'a necessary link')
  const { transact, mail } = server.app.services
  await transact((tx) =>
    mail.enqueue(
      tx,
      { email },
      {
        template: 'password_changed',
        data: { at: Date.now() },
      },
    ),
  )
  t.equal((await sentTo(email)).length, 2, 'a notice is not sent')
  const [row] = await server.db.outboxMessage.findMany({ where: { recipient: email, sentAt: null } })
  t.match(row, { topic: 'password_changed', lastError: 'suppressed: complained' })
})

t.test(
  'the suppression list of the provider counts too, and removal from it lifts the suppression',
  async (t) => {
    const [one, two] = [freshEmail(), freshEmail()]
    const now = Date.now() - 60_000
    await report(suppression('added', one, now))
    await report(suppression('added', two, now, 'complaint'))
    t.equal(await reasonOf(one), 'bounced')
    t.equal(await reasonOf(two), 'complained')
    await register(one)
    t.strictSame(await sentTo(one), [])
    await report(suppression('removed', one, now + 1))
    await server.post('/auth/resend-verification', { email: one })
    t.equal((await sentTo(one)).length, 1)
  },
)

t.test('if events arrive out of order, the latest by time counts', async (t) => {
  const at = Date.now() - 60_000
  const email = freshEmail()
  await report(suppression('removed', email, at + 2))
  await report(bounced([email], at))
  await register(email)
  t.equal(
    (await sentTo(email)).length,
    1,
    'a bounce from before the removal that arrives after it is ignored',
  )
  await report(bounced([email], at + 3))
  await report(suppression('removed', email, at + 1))
  await report(complained([email], at + 4))
  t.equal(await reasonOf(email), 'bounced', 'a later complaint does not weaken a bounce')
  const row = await server.db.mailSuppression.findUnique({ where: { address: email } })
  t.equal(row?.at.getTime(), at + 4, 'the time is that of the event')
})
