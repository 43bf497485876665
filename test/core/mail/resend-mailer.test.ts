import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { MailRejected } from '../../../src/core/mail/mailer.ts'
import { createResendMailer } from '../../../src/core/mail/resend-mailer.ts'

const apiKey = 're_secret_1234567890'
const mail = { id: 'mail-1', to: 'ann@example.test', subject: 'Hello', text: 'plain', html: '<p>rich</p>' }

/** A provider that gives every request the same answer and records the requests. */
async function provider(t: Test, status: number, answer: unknown) {
  const seen: { headers: IncomingHttpHeaders; url: string | undefined; body: unknown }[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ headers: request.headers, url: request.url, body: JSON.parse(body) })
    response.writeHead(status, { 'content-type': 'application/json' })
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

t.test('an invalid mail is rejected permanently; the message does not contain its address', async (t) => {
  for (const status of [400, 422]) {
    const message = `Invalid to: ann@example.test ${apiKey}`
    const { mailer } = await provider(t, status, { statusCode: status, name: 'validation_error', message })
    const error = await failure(mailer.send(mail))
    t.ok(error instanceof MailRejected)
    t.equal(error.message, `resend answered ${status} validation_error`)
  }
})

t.test('every other failure can be retried, and no message contains a secret', async (t) => {
  const answers: [number, unknown][] = [
    [401, { statusCode: 401, name: 'invalid_api_key', message: `bad ${apiKey}` }],
    [403, { statusCode: 403, name: 'validation_error', message: 'domain not verified' }],
    [409, { statusCode: 409, name: 'concurrent_idempotent_requests', message: '' }],
    [422, { statusCode: 422, name: 'invalid_from_address', message: '' }],
    [429, { statusCode: 429, name: 'rate_limit_exceeded', message: '' }],
    [500, { statusCode: 500, name: 'internal_server_error', message: mail.html }],
    [502, '<html>bad gateway</html>'],
    [500, { statusCode: apiKey, name: apiKey, message: apiKey }],
    [500, 'null'],
    [200, 'not json'],
  ]
  for (const [status, answer] of answers) {
    const { mailer } = await provider(t, status, answer)
    const error = await failure(mailer.send(mail))
    t.notOk(error instanceof MailRejected, `${status}: ${error.message}`)
    t.notMatch(`${error.stack}${JSON.stringify(error)}`, /re_secret|ann@|rich|bad gateway/)
  }
})

t.test('an unreachable provider can be retried', async (t) => {
  const mailer = createResendMailer({ apiKey, baseUrl: 'http://127.0.0.1:1', from: 'a@example.test' })
  const error = await failure(mailer.send(mail))
  t.notOk(error instanceof MailRejected)
  t.notMatch(error.message, apiKey)
})
