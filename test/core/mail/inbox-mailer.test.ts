import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import { createInboxMailer } from '../../../src/core/mail/inbox-mailer.ts'
import { renderMail } from '../../../src/core/mail/templates.ts'
import devInbox from '../../../src/dev/inbox/inbox.plugin.ts'
import { readTexts } from '../../../src/texts.ts'

const mail = (id: string) => ({
  id,
  to: 'ann@example.test',
  subject: `Mail ${id}`,
  text: 'text',
  html: '<p>html</p>',
})
const ticking = () => {
  let now = 1_000
  return { now: () => now++ }
}

t.test('it keeps the newest mails, newest first, across restarts', async (t) => {
  const dir = join(t.testdir(), 'not', 'there', 'yet')
  const clock = ticking()
  const inbox = createInboxMailer({ dir, keep: 3, clock })
  t.same(await inbox.list(), [])
  for (const id of ['a', 'e', 'b', 'd', 'c']) await inbox.send(mail(id))
  const restarted = createInboxMailer({ dir, keep: 3, clock })
  const mails = await restarted.list()
  t.same(
    mails.map(({ id }) => id),
    ['c', 'd', 'b'],
  )
  t.match(mails[0], { ...mail('c'), at: '1970-01-01T00:00:01.004Z' })
})

t.test('a mail with the same id is stored once, in a file that only its owner can read', async (t) => {
  const dir = t.testdir()
  const inbox = createInboxMailer({ dir })
  await inbox.send(mail('a'))
  await inbox.send({ ...mail('a'), subject: 'again' })
  t.match(await inbox.list(), [{ subject: 'Mail a' }])
  t.equal((await stat(join(dir, 'a.json'))).mode & 0o777, 0o600)
})

t.test('other files are ignored, and an id cannot leave the directory', async (t) => {
  const dir = t.testdir()
  const inbox = createInboxMailer({ dir })
  await writeFile(join(dir, 'broken.json'), '{')
  await writeFile(join(dir, 'other.json'), '{"id":1}')
  t.same(await inbox.list(), [])
  await t.rejects(inbox.send(mail('../../a')))
})

t.test('the page shows mails without running their content', async (t) => {
  const inbox = createInboxMailer({ dir: t.testdir(), clock: ticking() })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(devInbox, { inbox })
  t.match((await app.inject('/dev/inbox')).body, 'No mail yet')

  const link = 'http://localhost:8080/verify?token=abc&x=1'
  const { letters } = await readTexts({ defaultLocale: 'en' })
  const brand = { name: 'Ratchet', url: 'http://localhost:8080' }
  await inbox.send({
    id: 'a',
    to: 'ann@example.test',
    ...renderMail(letters.get('verify_email'), { link, minutes: 60 }, brand),
  })
  await inbox.send({
    ...mail('b'),
    subject: '<script>alert(1)</script>',
    html: '"><script>alert(2)</script>',
  })

  const page = await app.inject('/dev/inbox')
  t.match(page.headers['content-type'], 'text/html')
  t.match(page.headers['content-security-policy'], "default-src 'none'")
  t.equal(page.headers['cache-control'], 'no-store')
  t.notMatch(page.body, '<script')
  t.match(page.body, 'href="http://localhost:8080/verify?token=abc&#38;x=1&#38;locale=en"')
  t.match(page.body, '&#60;base target=&#34;_blank&#34;&#62;')
  t.ok(page.body.indexOf('alert(1)') < page.body.indexOf('Confirm your e-mail'), 'newest first')

  t.notMatch(page.body, 'http-equiv="refresh"')
  const json = (await app.inject('/dev/inbox.json')).json()
  t.match(json, { mails: [{ id: 'b' }, { id: 'a', to: 'ann@example.test', text: /token=abc&x=1/ }] })
  const ofStranger = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
  for (const headers of [ofStranger, { 'sec-fetch-site': 'same-site' }])
    t.not((await app.inject({ method: 'POST', url: '/dev/inbox/clear', headers })).statusCode, 303)
  t.equal((await inbox.list()).length, 2)
  const cleared = await app.inject({ method: 'POST', url: '/dev/inbox/clear' })
  t.equal(cleared.statusCode, 303)
  t.match((await app.inject('/dev/inbox.json')).json(), { mails: [] })
})
