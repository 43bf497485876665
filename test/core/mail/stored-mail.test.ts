import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { openMail } from '../../../src/core/mail/mail.ts'
import type { MailContent } from '../../../src/core/mail/mail-data.ts'
import type { Mail, Mailer } from '../../../src/core/mail/mailer.ts'
import { createResendMailer } from '../../../src/core/mail/resend-mailer.ts'
import { renderMail } from '../../../src/core/mail/templates.ts'
import { openOutbox } from '../../../src/core/outbox/outbox.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'
import { readTexts } from '../../../src/texts.ts'
import { openTestDatabase } from '../../support/database.ts'
import { openMailQueue } from '../../support/mail.ts'
import { silentLog, silentMetrics } from '../../support/monitor.ts'
import { asTransaction } from '../../support/transaction.ts'

const START = Date.UTC(2026, 0, 1)
const MINUTE = 60_000
const to = 'ann@example.test'
const link = 'https://example.test/reset-password?token=canary'
const reset: MailContent = { template: 'reset_password', data: { link, minutes: 60, ip: '192.0.2.1' } }
const { letters } = await readTexts({ defaultLocale: 'en' })
const secrets = createSecrets(['s'.repeat(32)])

const { db, poll } = await openTestDatabase(t)
t.beforeEach(async () => {
  await db.outboxMessage.deleteMany()
  await db.outboxHold.deleteMany()
})

/** A node with a mailer, whose mails say that they are from `name`. */
function openNode(mailer: Mailer, clock: { now(): number }, name: string) {
  const deps = { db, poll, secrets, clock, log: silentLog, metrics: silentMetrics }
  const outbox = openOutbox(deps)
  const brand = { name, url: 'https://example.test' }
  const mail = openMail({ ...deps, outbox, mailer, brand, letters })
  return {
    outbox,
    enqueue: (content: MailContent) => mail.enqueue(asTransaction(db), { email: to }, content),
  }
}

t.test('every attempt sends the same key and the same bytes, from whichever node', async (t) => {
  const seen: string[] = []
  const provider = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push(`${request.headers['idempotency-key']} ${body}`)
    response.writeHead(seen.length < 4 ? 500 : 200, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(provider, 'listening')
  t.teardown(() => provider.close())
  const baseUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`
  const mailer = createResendMailer({ apiKey: 're_test', baseUrl, from: 'a@example.test' })
  let now = START
  const clock = { now: () => now }
  const one = openNode(mailer, clock, 'Example')
  const renamed = openNode(mailer, clock, 'Another name')
  await one.enqueue(reset)
  for (const { outbox } of [one, renamed, one, renamed]) {
    await outbox.drain()
    now += 4 * MINUTE
  }
  t.equal(seen.length, 4)
  t.equal(new Set(seen).size, 1)
  t.match(seen[0], 'token=canary')
  t.match(await db.outboxMessage.findMany(), [{ attempts: 4, sentAt: Date }])
})

/** A row as the previous release writes it: only the data, and nothing of the new columns. */
async function queueAsBefore({ template: topic, data }: MailContent, createdAt: number) {
  const id = uuidv7()
  const sealed = secrets.seal('outbox', id, JSON.stringify(data))
  const at = new Date(createdAt)
  const row = { id, kind: 'mail', topic, recipient: to, sealed, nextAttemptAt: at, createdAt: at }
  await db.outboxMessage.create({ data: row })
}

function recordingQueue(now: number) {
  const state = { now, sent: [] as Mail[], failure: null as Error | null }
  const mailer: Mailer = {
    name: 'fake',
    async send(mail) {
      if (state.failure) throw state.failure
      state.sent.push(mail)
    },
  }
  return {
    state,
    queue: openMailQueue({ db, poll, clock: { now: () => state.now }, mailer, log: silentLog }),
  }
}

t.test('a mail that the previous release queued is delivered', async (t) => {
  await queueAsBefore(reset, START)
  const { state, queue } = recordingQueue(START + 59 * MINUTE)
  await queue.drain()
  t.match(state.sent, [{ to, text: link }])
})

t.test('… but not after its link has ended, and not for longer than a day', async (t) => {
  await queueAsBefore(reset, START)
  const { state, queue } = recordingQueue(START + 60 * MINUTE)
  await queue.drain()
  t.match(await db.outboxMessage.findMany(), [{ gaveUpAt: new Date(state.now), lastError: 'expired' }])
  await queueAsBefore({ template: 'account_deleted', data: { at: START } }, START)
  state.failure = new Error('down')
  state.now = START + 24 * 60 * MINUTE
  await queue.drain()
  t.match(await db.outboxMessage.findFirst({ where: { topic: 'account_deleted' } }), {
    lastError: 'down',
    gaveUpAt: Date,
  })
  t.equal(state.sent.length, 0)
})

t.test('a mail may outlive the first of its links, if its caller says so', async (t) => {
  const { state, queue } = recordingQueue(START)
  await queue.enqueueIn(asTransaction(db), { email: to }, reset, { lifetimeMs: 90 * MINUTE })
  await queue.enqueueIn(asTransaction(db), { email: 'bob@example.test' }, reset, { lifetimeMs: 30 * MINUTE })
  state.now += 89 * MINUTE
  await queue.drain()
  t.match(state.sent, [{ to, text: link }])
  t.equal(state.sent.length, 1)
  t.match(await db.outboxMessage.findFirst({ where: { gaveUpAt: { not: null } } }), { lastError: 'expired' })
})

t.test('the previous release can render what this one queues', async (t) => {
  const { queue } = recordingQueue(START)
  await queue.enqueue(to, reset)
  const row = await db.outboxMessage.findFirstOrThrow()
  const { letter, ...data } = JSON.parse(secrets.open('outbox', row.id, row.sealed))
  t.strictSame(data, reset.data, 'the data is where that release reads it')
  const brand = { name: 'Example', url: 'https://example.test' }
  t.strictSame(renderMail(letters.get('reset_password'), { ...data, letter }, brand), letter)
})
