import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import t, { type Test } from 'tap'
import { MailRejected } from '../../../src/core/mail/mailer.ts'
import { createSmtpMailer } from '../../../src/core/mail/smtp-mailer.ts'

const mail = {
  id: 'mail-1',
  to: 'ann@example.test',
  subject: 'Grüße',
  text: 'plain part',
  html: '<p>rich part</p>',
}

async function smtp(t: Test, options: SMTPServerOptions = {}) {
  const received: { source: string; to: string[] }[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk) => chunks.push(chunk))
      stream.on('end', () => {
        const to = session.envelope.rcptTo.map(({ address }) => address)
        received.push({ source: Buffer.concat(chunks).toString(), to })
        done()
      })
    },
    ...options,
  })
  server.on('error', () => {})
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const url = `smtp://user:hunter2@127.0.0.1:${(listening.address() as AddressInfo).port}`
  return { url, received }
}

const refusal = (responseCode: number) =>
  Object.assign(new Error('no ann@example.test here'), { responseCode })

const failure = (send: Promise<void>) =>
  send.then(
    () => t.fail('should have failed') as never,
    (error: Error) => error,
  )

const from = 'Example <auth@example.test>'
const anyone: SMTPServerOptions['onAuth'] = (_auth, _session, done) => done(null, { user: 'user' })

t.test('it sends both parts, with a Message-ID made from the mail id', async (t) => {
  const { url, received } = await smtp(t, { onAuth: anyone })
  const mailer = createSmtpMailer({ url, from, replyTo: 'help@example.test' })
  await mailer.send(mail)
  await mailer.send(mail)
  t.equal(received.length, 2)
  for (const { source, to } of received) {
    t.same(to, ['ann@example.test'])
    t.match(source, /^Message-ID: <mail-1@example\.test>\r?$/im)
    t.match(source, /^Reply-To: help@example\.test\r?$/im)
    t.match(source, 'multipart/alternative')
    t.match(source, 'plain part')
    t.match(source, 'rich part')
  }
})

t.test('a refused recipient is final, a deferred one can be retried', async (t) => {
  for (const [code, final] of [
    [550, true],
    [450, false],
  ] as const) {
    const { url } = await smtp(t, { onAuth: anyone, onRcptTo: (_to, _session, done) => done(refusal(code)) })
    const error = await failure(createSmtpMailer({ url, from }).send(mail))
    t.equal(error instanceof MailRejected, final, error.message)
    t.notMatch(error.message, /ann@|hunter2/)
  }
})

t.test('server and configuration errors can be retried', async (t) => {
  const cases: SMTPServerOptions[] = [
    { onAuth: (_auth, _session, done) => done(refusal(535)) },
    { onAuth: anyone, onMailFrom: (_from, _session, done) => done(refusal(553)) },
  ]
  for (const options of cases) {
    const { url } = await smtp(t, options)
    const error = await failure(createSmtpMailer({ url, from }).send(mail))
    t.notOk(error instanceof MailRejected, error.message)
    t.notMatch(error.message, /ann@|hunter2/)
  }
  const error = await failure(createSmtpMailer({ url: 'smtp://127.0.0.1:1', from }).send(mail))
  t.notOk(error instanceof MailRejected, error.message)
})

t.test('a comma in the address does not make a second recipient', async (t) => {
  const { url, received } = await smtp(t, { onAuth: anyone })
  const to = 'ann@example.test, eve@evil.test'
  await createSmtpMailer({ url, from })
    .send({ ...mail, to })
    .catch(() => {})
  t.notOk(received.some((message) => message.to.includes('eve@evil.test')))
})
