import { randomBytes } from 'node:crypto'
import t from 'tap'
import { bounced, sign, startWithResend } from '../../support/resend.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startWithResend(t)
const { secret, deliver, marks, metric } = server
const body = bounced(['ann@example.com'])
const REFUSED = { status: 401, body: { code: 'signature_invalid' } }

t.beforeEach(async () => {
  await server.db.mailSuppression.deleteMany()
})

t.test('a signed event is accepted, and a repeated one changes nothing', async (t) => {
  const headers = sign(secret, body)
  t.match(await deliver(body, headers), { status: 204, body: undefined })
  const [first] = await marks()
  t.match(first, { address: 'ann@example.com', reason: 'bounced' })
  const replies = await twenty(() => deliver(body, headers))
  t.ok(
    replies.every(({ status }) => status === 204),
    'so that the provider stops trying',
  )
  t.strictSame(await marks(), [first])
  t.equal(await metric('ratchet_mail_addresses_marked_total{reason="bounced"}'), 1)
})

t.test('wrong, missing, mangled and foreign signatures are refused and change nothing', async (t) => {
  const good = sign(secret, body)
  const refused = await metric('ratchet_webhooks_total{result="refused"}')
  const { 'svix-id': id, 'svix-timestamp': timestamp, 'svix-signature': signature } = good
  const cases: Record<string, Record<string, string>> = {
    none: {},
    'no id': { 'svix-timestamp': timestamp, 'svix-signature': signature },
    'no time': { 'svix-id': id, 'svix-signature': signature },
    'no signature': { 'svix-id': id, 'svix-timestamp': timestamp },
    'another id': { ...good, 'svix-id': `${id}x` },
    'another time': { ...good, 'svix-timestamp': String(Number(timestamp) - 1) },
    'another secret': sign(`whsec_${randomBytes(24).toString('base64')}`, body),
    'another body': sign(secret, body.replace('ann', 'bob')),
    'another version': { ...good, 'svix-signature': signature.replace('v1', 'v2') },
  }
  const mangled = ['v1', 'v1,', ',', ' ', 'v1,v1,v1', signature.slice(3), `${signature}A`, 'v1,\u00ff']
  for (const value of mangled) cases[`signature ${value}`] = { ...good, 'svix-signature': value }
  for (const value of ['now', '', 'NaN', '1e99', '-1', `${'9'.repeat(400)}`])
    cases[`time ${value.slice(0, 9)}`] = { ...good, 'svix-timestamp': value }
  for (const [name, headers] of Object.entries(cases)) t.match(await deliver(body, headers), REFUSED, name)
  const tampered = body.replace('ann', 'bob')
  t.match(await deliver(tampered, good), REFUSED, 'a changed body')
  t.match(await deliver('', good), REFUSED, 'no body')
  t.match(await deliver(` ${body}`, good), REFUSED, 'the same JSON as other bytes')
  t.strictSame(await marks(), [])
  const count = Object.keys(cases).length + 3
  t.equal(await metric('ratchet_webhooks_total{result="refused"}'), refused + count)
})

t.test('a signature is valid for five minutes in either direction', async (t) => {
  for (const minutes of [-5.1, 5.1])
    t.match(await deliver(body, sign(secret, body, { at: Date.now() + minutes * 60_000 })), REFUSED)
  t.strictSame(await marks(), [])
  for (const minutes of [-4.9, 4.9])
    t.match(await deliver(body, sign(secret, body, { at: Date.now() + minutes * 60_000 })), { status: 204 })
  t.equal((await marks()).length, 1)
})

t.test('during secret rotation one valid signature of several is enough', async (t) => {
  const good = sign(secret, body)
  const other = sign(`whsec_${randomBytes(24).toString('base64')}`, body)['svix-signature']
  for (const signatures of [`${other} ${good['svix-signature']}`, `v1a,x ${good['svix-signature']} ${other}`])
    t.match(await deliver(body, { ...good, 'svix-signature': signatures }), { status: 204 })
  t.match(await deliver(body, { ...good, 'svix-signature': `${other} ${other}` }), REFUSED)
  t.equal((await marks()).length, 1)
})

t.test('a signed event of an unknown kind is accepted and ignored', async (t) => {
  const ignored = await metric('ratchet_webhooks_total{result="ignored"}')
  const bodies = [
    'not JSON',
    'null',
    '[]',
    '"email.bounced"',
    '{}',
    '{"type":"email.bounced"}',
    '{"type":"email.bounced","created_at":1,"data":{}}',
    JSON.stringify({ type: 'toString', created_at: new Date().toISOString(), data: {} }),
    JSON.stringify({
      type: 'email.delivered',
      created_at: new Date().toISOString(),
      data: { to: ['ann@example.com'] },
    }),
    bounced('ann@example.com'),
    bounced([]),
    bounced([{}]),
    bounced(['no address']),
    bounced(['ann@example.com\u0000']),
    bounced([`${'a'.repeat(300)}@example.com`]),
    bounced(['\ud800@example.com']),
    bounced(['ann@example.com', 'bob@example.com']),
    bounced(['ann@example.com'], 'yesterday'),
    bounced(['ann@example.com'], -1),
    bounced(['ann@example.com'], Date.now() + 6 * 60_000),
  ]
  for (const text of bodies)
    t.match(await deliver(text, sign(secret, text)), { status: 204 }, text.slice(0, 80))
  t.strictSame(await marks(), [])
  t.equal(await metric('ratchet_webhooks_total{result="ignored"}'), ignored + bodies.length)
})

t.test(
  'bytes that are not UTF-8 are refused, even if their lenient decoding has a valid signature',
  async (t) => {
    const lenient = bounced(['\ufffd@example.com'])
    const bytes = Buffer.concat(
      lenient
        .split('\ufffd')
        .flatMap((part, index) => (index ? [Buffer.of(0xff), Buffer.from(part)] : [Buffer.from(part)])),
    )
    t.match(await deliver(bytes, sign(secret, lenient)), REFUSED)
    t.match(await deliver(bytes, sign(secret, bytes)), REFUSED)
    t.strictSame(await marks(), [])
  },
)

t.test('an event may be larger than other bodies, up to a limit, and must be JSON', async (t) => {
  const sized = (bytes: number) => bounced(['ann@example.com']).replace('no such user', 'x'.repeat(bytes))
  const large = sized(255 * 1024)
  t.match(await deliver(large, sign(secret, large)), { status: 204 })
  t.equal((await marks()).length, 1)
  const huge = sized(256 * 1024)
  t.match(await deliver(huge, sign(secret, huge)), { status: 413, body: { code: 'body_too_large' } })
  const text = { ...sign(secret, body), 'content-type': 'text/plain' }
  t.match(await deliver(body, text), { status: 415, body: { code: 'unsupported_media_type' } })
  const elsewhere = await server.post('/auth/login', { email: 'a@example.com', password: 'x'.repeat(17_000) })
  t.equal(elsewhere.status, 413, 'other paths keep their limit')
  t.equal((await server.post('/auth/login', { email: 'a@example.com', password: 'x' })).status, 401)
})

t.test('an event that cannot be stored gets an error, so that the provider sends it again', async (t) => {
  await server.db.$executeRaw`ALTER TABLE mail_suppressions RENAME TO suppressions_renamed`
  const headers = sign(secret, body)
  const failed = await deliver(body, headers)
  await server.db.$executeRaw`ALTER TABLE suppressions_renamed RENAME TO mail_suppressions`
  t.ok(failed.status >= 500)
  t.match(await deliver(body, headers), { status: 204 })
  t.equal((await marks()).length, 1)
})

t.test('without Resend or its secret the path does not exist', async (t) => {
  const inbox = await startServer(t, { env: { RESEND_WEBHOOK_SECRET: secret } })
  t.match((await inbox.post('/webhooks/resend', {})).body, { status: 404, code: 'not_found' })
  await inbox.close()
  const secretless = await startWithResend(t, { env: { RESEND_WEBHOOK_SECRET: '' } })
  t.match(await secretless.report(body), { status: 404, body: { code: 'not_found' } })
})

t.test('calls are rate limited', async (t) => {
  const limited = await startWithResend(t, { env: { RATE_LIMITS: 'true' } })
  const response = await fetch(`${limited.url}/webhooks/resend`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  t.equal(response.status, 401)
  t.equal(response.headers.get('ratelimit-policy'), '"webhooks";q=1200;w=60')
})
