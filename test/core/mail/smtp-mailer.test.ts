import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import t, { type Test } from 'tap'
import { MailRefused, MailRejected, ProviderUnavailable } from '../../../src/core/mail/mailer.ts'
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
  const { port } = listening.address() as AddressInfo
  return { url: `smtp://user:hunter2@127.0.0.1:${port}`, port, received }
}

const refusal = (responseCode: number, enhanced = '') =>
  Object.assign(new Error(`${enhanced} no ann@example.test here`.trim()), { responseCode })

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

/** The errors of a server that refuses in one place, by the name of their class. */
async function refuse(t: Test, options: SMTPServerOptions) {
  const { url } = await smtp(t, options)
  const error = await failure(createSmtpMailer({ url, from }).send(mail))
  t.notMatch(error.message, /ann@|hunter2/)
  return error
}

type Reply = [code: number, enhanced: string]
const atRecipient = ([code, enhanced]: Reply): SMTPServerOptions => ({
  onAuth: anyone,
  onRcptTo: (_to, _session, done) => done(refusal(code, enhanced)),
})
const atSender = ([code, enhanced]: Reply): SMTPServerOptions => ({
  onAuth: anyone,
  onMailFrom: (_from, _session, done) => done(refusal(code, enhanced)),
})
const atData = ([code, enhanced]: Reply): SMTPServerOptions => ({
  onAuth: anyone,
  onData(stream, _session, done) {
    stream.resume().on('end', () => done(refusal(code, enhanced)))
  },
})

const NO_MAILBOX: Reply[] = ['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1'].map((it) => [550, it])

t.test('an address that gets no mail from anybody is final', async (t) => {
  const replies: Reply[] = [...NO_MAILBOX, [556, '5.1.10'], [553, '5.1.3'], [550, '#5.1.1'], [550, '5.1.1.']]
  for (const reply of replies) {
    for (const options of [atRecipient(reply), atData(reply)]) {
      const error = await refuse(t, options)
      t.ok(error instanceof MailRejected, error.message)
      t.match(error.message, ` ${reply[0]} ${reply[1].replace(/^#|\.$/g, '')}`)
    }
  }
})

t.test('every other permanent refusal is about this server, not about the recipient', async (t) => {
  const replies: Reply[] = [
    [530, ''],
    [550, ''],
    [550, '5.7.1'],
    [550, '5.1.8'],
    [550, '5.1.11'],
    [550, '5.1.100'],
    [550, '5.1.1.2'],
    [550, '5.2.2'],
    [550, '<5.1.1@example.test>'],
    [550, '5.1.1@example.test'],
    [550, '4.1.1'],
    [551, '5.7.1'],
    [552, '5.2.2'],
    [553, ''],
    [554, ''],
    [554, '5.7.1'],
  ]
  for (const reply of replies) {
    const error = await refuse(t, atRecipient(reply))
    t.ok(error instanceof MailRefused, error.message)
  }
  for (const reply of [...NO_MAILBOX, [553, ''], [530, '5.7.0'], [550, '5.7.60']] as Reply[]) {
    const error = await refuse(t, atSender(reply))
    t.ok(error instanceof MailRefused, `at the sender: ${error.message}`)
  }
  for (const reply of [
    [554, '5.7.1'],
    [552, '5.3.4'],
  ] as Reply[]) {
    t.ok((await refuse(t, atData(reply))) instanceof MailRefused, `${reply}`)
  }
})

t.test('a deferred recipient is tried again later, and nobody else has to wait for it', async (t) => {
  for (const reply of [
    [450, ''],
    [450, '4.2.1'],
    [451, '4.7.1'],
    [452, '4.2.2'],
    [450, '5.1.1'],
  ] as Reply[]) {
    const error = await refuse(t, atRecipient(reply))
    t.equal(error.name, 'Error', error.message)
  }
})

t.test('what concerns every mail makes the provider unavailable', async (t) => {
  const cases: [SMTPServerOptions, isMisconfigured: boolean][] = [
    [atRecipient([421, '4.7.0']), false],
    [atRecipient([454, '4.7.1']), false],
    [atRecipient([451, '4.3.2']), false],
    [atSender([421, '']), false],
    [atSender([452, '4.4.5']), false],
    [atData([421, '4.3.0']), false],
    [{ onConnect: (_session, done) => done(refusal(421)) }, false],
    [{ onConnect: (_session, done) => done(refusal(554)) }, true],
    [{ onAuth: (_auth, _session, done) => done(refusal(454)) }, false],
    [{ onAuth: (_auth, _session, done) => done(refusal(535)) }, true],
    [{ onAuth: (_auth, _session, done) => done(refusal(535, '5.7.8')) }, true],
  ]
  for (const [options, isMisconfigured] of cases) {
    const error = await refuse(t, options)
    t.ok(error instanceof ProviderUnavailable, error.message)
    t.match(error, { isMisconfigured, retryAfterMs: undefined }, error.message)
  }
  const error = await failure(createSmtpMailer({ url: 'smtp://127.0.0.1:1', from }).send(mail))
  t.ok(error instanceof ProviderUnavailable)
  t.match(error, { isMisconfigured: false })
})

t.test('credentials are sent over TLS only, except to this machine', async (t) => {
  let asked = 0
  const { port, received } = await smtp(t, {
    onAuth(_auth, _session, done) {
      asked += 1
      done(null, { user: 'user' })
    },
  })
  // It reaches this machine too, but is not one of its loopback addresses.
  const host = '0.0.0.0'
  for (const query of ['', '?requireTLS=false', '?ignoreTLS=true', '?opportunisticTLS=true']) {
    const mailer = createSmtpMailer({ url: `smtp://user:hunter2@${host}:${port}/${query}`, from })
    const error = await failure(mailer.send(mail))
    t.ok(error instanceof ProviderUnavailable, error.message)
    t.match(error, { isMisconfigured: true })
  }
  t.equal(asked, 0, 'the server has not seen the password')
  await createSmtpMailer({ url: `smtp://${host}:${port}`, from }).send(mail)
  t.equal(received.length, 1, 'there is nothing to protect without credentials')
  await createSmtpMailer({ url: `smtp://user:hunter2@127.0.0.1:${port}`, from }).send(mail)
  t.equal(asked, 1)
})

t.test('a comma in the address does not make a second recipient', async (t) => {
  const { url, received } = await smtp(t, { onAuth: anyone })
  const to = 'ann@example.test, eve@evil.test'
  await createSmtpMailer({ url, from })
    .send({ ...mail, to })
    .catch(() => {})
  t.notOk(received.some((message) => message.to.includes('eve@evil.test')))
})
