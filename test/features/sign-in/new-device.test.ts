import t from 'tap'
import { createRetention } from '../../../src/core/retention/retention.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { env: { TRUST_PROXY: '1' }, clock })

const BROWSER = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0'
const signIn = (
  account: { email: string; password: string },
  ip: string,
  userAgent: string,
  device_token?: string,
) =>
  server.post(
    '/auth/login',
    { ...account, transport: 'body', device_token },
    { headers: { 'x-forwarded-for': ip, 'user-agent': userAgent } },
  )
const news = async (email: string) =>
  (await server.mailsTo(email)).filter(({ subject }) => /New sign-in/.test(subject))

t.test('the very first sign-in sends no mail; the first one from another device does', async (t) => {
  const account = await server.createAccount()
  const first = await signIn(account, '192.0.2.1', 'App/1')
  t.equal((await news(account.email)).length, 0)
  const second = await signIn(account, '192.0.2.9', BROWSER)
  const [mail, ...others] = await news(account.email)
  t.equal(others.length, 0)
  t.match(mail?.text, /192\.0\.2\.9/)
  t.match(mail?.text, /Chrome on Windows/)
  await signIn(account, '203.0.113.5', 'App/2', first.body.device_token)
  await signIn(account, '203.0.113.6', 'Other/1', second.body.device_token)
  await signIn(account, '192.0.2.9', BROWSER)
  t.equal(
    (await news(account.email)).length,
    1,
    'a known token, or the same browser at the same address, sends none',
  )
})

t.test('after a password change every device counts as new, including the first', async (t) => {
  const account = await server.createAccount()
  const { device_token } = (await signIn(account, '192.0.2.1', 'App/1')).body
  await server.post('/auth/request-password-reset', { email: account.email })
  const password = 'another long passphrase'
  await server.post('/auth/reset-password', { token: await server.lastToken(account.email), password })
  await signIn({ ...account, password }, '203.0.113.5', 'App/2', device_token)
  t.equal((await news(account.email)).length, 1)
})

t.test('a wrong password does not count as a sign-in', async (t) => {
  const account = await server.createAccount()
  await signIn(account, '192.0.2.1', 'App/1')
  await signIn({ ...account, password: 'not the password' }, '203.0.113.7', BROWSER)
  t.equal((await news(account.email)).length, 0)
})

t.test('a device keeps its token across accounts, and a made-up token is replaced', async (t) => {
  const [one, two] = [await server.createAccount(), await server.createAccount()]
  const { device_token } = (await signIn(one, '192.0.2.1', 'App/1')).body
  t.equal((await signIn(two, '192.0.2.1', 'App/1', device_token)).body.device_token, device_token)
  t.equal((await signIn(one, '192.0.2.77', 'App/9', device_token)).body.device_token, device_token)
  t.equal((await news(one.email)).length, 0)
  for (const odd of [
    '',
    'x',
    'dt1_',
    `dt1_${'é'.repeat(43)}`,
    `dt1_${'A'.repeat(42)}`,
    `dt2_${'A'.repeat(43)}`,
  ]) {
    const { body } = await signIn(one, '192.0.2.1', 'App/1', odd)
    t.match(body.device_token, /^dt1_[\w-]{43}$/)
    t.not(body.device_token, odd)
  }
  for (const wrong of [7, null, {}, ['dt1_']]) {
    const answer = await server.post('/auth/login', { ...one, transport: 'body', device_token: wrong })
    t.equal(answer.status, 400)
  }
})

t.test('in a browser the device token is a cookie that no answer contains', async (t) => {
  const account = await server.createAccount()
  const first = await server.post('/auth/login', account)
  const [, device = ''] = first.headers.getSetCookie()
  const pair = device.split(';')[0] as string
  t.match(pair, /^ratchet-device-dev=dt1_/)
  const again = await server.post('/auth/login', account, { headers: { cookie: pair } })
  t.equal((again.headers.getSetCookie()[1] as string).split(';')[0], pair)
  const inBody = await server.post(
    '/auth/login',
    { ...account, transport: 'body' },
    { headers: { cookie: pair } },
  )
  t.not(inBody.body.device_token, pair.split('=')[1], 'not even if a script asks for its tokens in the body')
})

t.test('20 parallel first sign-ins with one token store one device', async (t) => {
  const account = await server.createAccount()
  const { device_token } = (await signIn(account, '192.0.2.1', 'App/1')).body
  await server.db.knownDevice.deleteMany()
  const answers = await twenty(() => signIn(account, '192.0.2.1', 'App/1', device_token))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(await server.db.knownDevice.count(), 1)
})

const DAY_MS = 86_400_000
/** Lets so much time pass that no session of any account is stored any more. */
async function dormant() {
  clock.advance(130 * DAY_MS)
  await createRetention({ ...server.app.services, auditDays: 365 }).run()
  t.equal(await server.db.session.count(), 0)
}

t.test(
  'an account whose sessions are deleted by now still gets the mail, but not for a device it knows',
  async (t) => {
    const account = await server.createAccount()
    const { device_token } = (await signIn(account, '192.0.2.1', 'App/1')).body
    await dormant()
    await signIn(account, '203.0.113.5', 'App/2', device_token)
    t.equal((await news(account.email)).length, 0)
    await dormant()
    await signIn(account, '203.0.113.9', BROWSER)
    t.equal((await news(account.email)).length, 1)
    await dormant()
    await signIn(account, '203.0.113.9', BROWSER)
    t.equal(
      (await news(account.email)).length,
      2,
      'nor is the same browser recognized by its address any more',
    )
  },
)

t.test('so does a dormant account that knows no device, because its password was changed', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = (await signIn(account, '192.0.2.1', 'App/1')).body
  const password = 'another long passphrase'
  const change = { current_password: account.password, new_password: password }
  t.equal((await server.post('/auth/change-password', change, { bearer })).status, 204)
  await dormant()
  await signIn({ ...account, password }, '203.0.113.5', BROWSER)
  t.equal((await news(account.email)).length, 1)
})
