import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { MailRefused, MailRejected, ProviderUnavailable } from '../../../src/core/mail/mailer.ts'
import { createResendMailer } from '../../../src/core/mail/resend-mailer.ts'

const apiKey = 're_secret_1234567890'
const mail = { id: 'mail-1', to: 'ann@example.test', subject: 'Hello', text: 'plain', html: '<p>rich</p>' }

/** A provider that gives every request the same answer and records the requests. */
async function provider(t: Test, status: number, answer: unknown, headers: Record<string, string> = {}) {
  const seen: { headers: IncomingHttpHeaders; url: string | undefined; body: unknown }[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ headers: request.headers, url: request.url, body: JSON.parse(body) })
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    seen,
    mailer: createResendMailer({ apiKey, baseUrl, from: 'A <a@example.test>', replyTo: 'r@example.test' }),
  }
}

const failure = (send: Promise<void>) =>
  send.then(
    () => t.fail('should have failed') as never,
    (error: Error) => error,
  )

t.test('it sends with the mail id as idempotency key', async (t) => {
  const { seen, mailer } = await provider(t, 200, { id: 'x' })
  await mailer.send(mail)
  t.equal(seen.length, 1)
  t.equal(seen[0]?.url, '/emails')
  t.equal(seen[0]?.headers['idempotency-key'], 'mail-1')
  t.equal(seen[0]?.headers.authorization, `Bearer ${apiKey}`)
  t.match(seen[0]?.body, {
    from: 'A <a@example.test>',
    to: ['ann@example.test'],
    reply_to: 'r@example.test',
    subject: 'Hello',
    text: 'plain',
    html: '<p>rich</p>',
  })
})

/** The error that an answer leads to. None may contain a secret or what the provider wrote. */
async function errorFor(t: Test, status: number, answer: unknown, headers?: Record<string, string>) {
  const { mailer } = await provider(t, status, answer, headers)
  const error = await failure(mailer.send(mail))
  t.notMatch(`${error.stack}${JSON.stringify(error)}`, /re_secret|ann@|rich|bad gateway/)
  return error
}

const named = (statusCode: number, name: string, message = '') => ({ statusCode, name, message })

t.test('an address that the provider cannot read is final', async (t) => {
  const unreadable = 'Invalid `to` field. The email address needs to follow the `email@example.com` format.'
  const cases: [number, unknown][] = [
    [422, named(422, 'validation_error', unreadable)],
    [422, named(422, 'validation_error', 'Invalid `to` field: ann@example.test')],
    [400, named(400, 'validation_error', `Invalid to: ann@example.test ${apiKey}`)],
    [422, named(422, 'invalid_to_address')],
  ]
  for (const [status, answer] of cases) {
    const error = await errorFor(t, status, answer)
    t.ok(error instanceof MailRejected, error.message)
    t.match(error.message, /^resend answered 4\d\d \w+$/)
  }
})

t.test('every other refusal is about this server, not about the recipient', async (t) => {
  const cases: [number, unknown][] = [
    [400, named(400, 'invalid_idempotency_key')],
    [400, named(400, 'validation_error', 'Missing `html` or `text` field.')],
    [403, named(403, 'validation_error', 'The example.test domain is not verified')],
    [403, named(403, 'validation_error', 'You can only send testing emails to your own address')],
    [404, named(404, 'not_found')],
    [405, named(405, 'method_not_allowed')],
    [409, named(409, 'invalid_idempotent_request')],
    [422, named(422, 'validation_error', 'Invalid `from` field.')],
    [422, named(422, 'validation_error', 'Invalid `to` field. Please use our testing email address')],
    [422, named(422, 'validation_error', 'Invalid `tomorrow` field.')],
    [422, named(422, 'invalid_from_address')],
    [422, named(422, 'missing_required_field', 'Missing `to` field.')],
    [422, named(422, 'invalid_attachment')],
    [422, 'not json'],
    [451, named(451, 'security_error')],
    [307, {}],
  ]
  for (const [status, answer] of cases) {
    const error = await errorFor(t, status, answer)
    t.ok(error instanceof MailRefused, `${error.name} ${error.message}`)
  }
})

t.test('what concerns every mail makes the provider unavailable, for as long as it says', async (t) => {
  const soon = { 'retry-after': '2' }
  const cases: [number, unknown, Record<string, string>, retryAfterMs: unknown, isMisconfigured: boolean][] =
    [
      [429, named(429, 'rate_limit_exceeded'), soon, 2_000, false],
      [429, {}, { 'ratelimit-reset': '7' }, 7_000, false],
      [429, 'too many', {}, undefined, false],
      [429, {}, { 'retry-after': 'soon' }, undefined, false],
      [429, named(429, 'daily_quota_exceeded'), { 'retry-after': '41200' }, 41_200_000, true],
      [429, named(429, 'monthly_quota_exceeded'), {}, undefined, true],
      [401, named(401, 'validation_error', 'API key is invalid'), {}, undefined, true],
      [401, named(401, 'missing_api_key'), {}, undefined, true],
      [401, named(401, 'restricted_api_key'), {}, undefined, true],
      [403, named(403, 'invalid_api_key', `bad ${apiKey}`), {}, undefined, true],
      [503, named(503, 'application_error'), soon, 2_000, false],
      [500, {}, soon, 2_000, false],
      [502, '<html>bad gateway</html>', {}, undefined, false],
      [504, '', {}, undefined, false],
    ]
  for (const [status, answer, headers, retryAfterMs, isMisconfigured] of cases) {
    const error = await errorFor(t, status, answer, headers)
    t.ok(error instanceof ProviderUnavailable, `${error.name} ${error.message}`)
    t.match(error, { retryAfterMs, isMisconfigured }, error.message)
  }
  const date = new Date(Date.UTC(2026, 0, 1)).toUTCString()
  const later = new Date(Date.UTC(2026, 0, 1) + 90_000).toUTCString()
  t.match(
    await errorFor(t, 429, {}, { date, 'retry-after': later }),
    { retryAfterMs: 90_000 },
    'by its own clock',
  )
  const unreachable = createResendMailer({ apiKey, baseUrl: 'http://127.0.0.1:1', from: 'a@example.test' })
  const error = await failure(unreachable.send(mail))
  t.ok(error instanceof ProviderUnavailable)
  t.match(error, { message: /^resend gave no answer \(\w+\)$/, isMisconfigured: false })
})

t.test('a failure inside the provider concerns one mail', async (t) => {
  const cases: [number, unknown][] = [
    [409, named(409, 'concurrent_idempotent_requests')],
    [500, named(500, 'internal_server_error', mail.html)],
    [500, { statusCode: apiKey, name: apiKey, message: apiKey }],
    [500, 'null'],
    [200, 'not json'],
    [200, 'null'],
  ]
  for (const [status, answer] of cases) {
    const error = await errorFor(t, status, answer)
    t.equal(error.name, 'Error', error.message)
  }
})
