import t from 'tap'
import { eventually } from '../../support/eventually.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const env = { TRUST_PROXY: '1' }
const server = await startServer(t, { clock, env })
const other = await startServer(t, { clock, env, databaseUrl: server.databaseUrl })
const MINUTE_MS = 60_000

const from = (ip: string) => ({ headers: { 'x-forwarded-for': ip } })
const register = (email: string, ip = '192.0.2.1', node = server) =>
  node.post('/auth/register', { email, password: server.password }, from(ip))
const resend = (email: string, ip = '192.0.2.1') =>
  server.post('/auth/resend-verification', { email }, from(ip))
const linksIn = (mail: { text: string } | undefined) =>
  [...(mail?.text ?? '').matchAll(/token=([\w-]+)/g)].map(([, link]) => `${link}`)
const mailsTo = server.mailsTo

t.test('three mails for one client leave at once; then one with all links follows', async (t) => {
  const email = server.freshEmail()
  for (let count = 0; count < 6; count += 1) await register(email)
  const first = await mailsTo(email)
  t.strictSame(
    first.map((mail) => linksIn(mail).length),
    [1, 1, 1],
  )
  await resend(email)
  t.equal((await mailsTo(email)).length, 3, 'the mail that waits has everything')
  clock.advance(15 * MINUTE_MS)
  await eventually(async () => (await mailsTo(email)).length === 4)
  const merged = linksIn((await mailsTo(email)).at(-1))
  t.equal(new Set(merged).size, 6)
  for (const mail of first) t.ok(merged.includes(`${linksIn(mail)[0]}`), 'the links stay the same')
})

t.test('another client is not affected until the address has had five mails', async (t) => {
  const email = server.freshEmail()
  for (let count = 0; count < 4; count += 1) await register(email)
  clock.advance(15 * MINUTE_MS)
  await eventually(async () => (await mailsTo(email)).length === 4)
  await register(email, '198.51.100.1')
  t.equal((await mailsTo(email)).length, 5)
  await register(email, '198.51.100.2')
  t.equal((await mailsTo(email)).length, 5)
  clock.advance(60 * MINUTE_MS)
  await eventually(async () => (await mailsTo(email)).length === 6)
  t.equal(linksIn((await mailsTo(email)).at(-1)).length, 6)
})

t.test('of 20 parallel requests on two nodes no mail is lost and none is sent twice', async (t) => {
  const email = server.freshEmail()
  await twenty((index) => register(email, `192.0.2.${index}`, index % 2 ? server : other))
  t.equal((await mailsTo(email)).length, 5)
  clock.advance(15 * MINUTE_MS)
  await eventually(async () => (await mailsTo(email)).length === 6)
  const links = (await mailsTo(email)).flatMap(linksIn)
  t.equal(new Set(links).size, 20)
  clock.advance(60 * MINUTE_MS)
  t.equal(await server.db.registrationMail.count({ where: { email, sentAt: null } }), 0)
  t.equal((await mailsTo(email)).length, 6)
})

t.test('a client with many registrations does not crowd out one with a single one', async (t) => {
  const email = server.freshEmail()
  for (let count = 0; count < 30; count += 1) await register(email)
  await register(email, '203.0.113.9')
  await register(email, '203.0.113.10')
  await register(email, '203.0.113.11')
  clock.advance(15 * MINUTE_MS)
  await eventually(async () => (await mailsTo(email)).some((mail) => linksIn(mail).length === 20))
  const merged = (await mailsTo(email)).find((mail) => linksIn(mail).length === 20)
  for (const ip of ['203.0.113.9', '203.0.113.10', '203.0.113.11'])
    t.match(merged?.text, `IP address: ${ip}\n`)
})

t.test('an address with an account gets as many mails, without links', async (t) => {
  const { email } = await server.createAccount()
  const before = (await mailsTo(email)).length
  for (let count = 0; count < 6; count += 1) await register(email)
  t.equal((await mailsTo(email)).length, before + 3)
  clock.advance(15 * MINUTE_MS)
  await eventually(async () => (await mailsTo(email)).length === before + 4)
  for (const mail of (await mailsTo(email)).slice(before)) {
    t.match(mail.subject, /already have an account/)
    t.strictSame(linksIn(mail), [])
  }
})

t.test(
  'a mail that waits is dropped when the address gets its account, and links are not kept',
  async (t) => {
    const email = server.freshEmail()
    for (let count = 0; count < 4; count += 1) await register(email)
    const token = await server.lastToken(email)
    t.equal((await server.post('/auth/verify-email', { token, password: server.password })).status, 200)
    t.equal(await server.db.registrationMail.count({ where: { email, sentAt: null } }), 0)
    const rows = await server.db.registration.findMany({ where: { email } })
    t.match(rows, [{ passwordHash: null, sealedLink: null }])
    t.equal(rows.length, 1)
  },
)
