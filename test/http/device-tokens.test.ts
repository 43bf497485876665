import t from 'tap'
import { createPerson } from '../support/administrator.ts'
import { addTotp } from '../support/factors.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t, { env: { TRUST_PROXY: '1' } })
const NAME = 'ratchet-device-dev'

let place = 0
// A place that no account knows.
function elsewhere() {
  place += 1
  return { 'x-forwarded-for': `203.0.113.${place}`, 'user-agent': `Browser/${place}` }
}
const cookieOf = (tokens: readonly string[]) => tokens.map((token) => `${NAME}=${token}`).join('; ')
const news = async (email: string) =>
  (await server.mailsTo(email)).filter(({ subject }) => /New sign-in/.test(subject)).length
const unknownDevice = () => `dt1_${crypto.randomUUID().replaceAll('-', '')}${'A'.repeat(11)}`
const given = (answer: { headers: Headers }) =>
  answer.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .findLast((pair) => pair?.startsWith(`${NAME}=dt1_`))
    ?.slice(NAME.length + 1)

t.test('of several device cookies, that of a device which the account knows counts', async (t) => {
  const account = await server.createAccount()
  const { device_token: known } = await server.login(account)
  const other = (await server.login(await server.createAccount())).device_token
  const strangers = [unknownDevice(), other, 'x', '']
  for (const tokens of [
    [...strangers, known],
    [known, ...strangers],
    [...strangers, known, known],
  ]) {
    const headers = { ...elsewhere(), cookie: cookieOf(tokens) }
    const answer = await server.post('/auth/login', account, { headers })
    t.equal(answer.status, 200)
    t.equal(given(answer), known, 'and is kept')
  }
  t.equal(await news(account.email), 0)
  const headers = { ...elsewhere(), cookie: cookieOf(strangers) }
  t.not(given(await server.post('/auth/login', account, { headers })), known)
  t.equal(await news(account.email), 1, 'those of others make it known to nobody')
})

t.test('a device that has signed in counts before one in which the account was only unlocked', async (t) => {
  const account = await server.createAccount()
  const { device_token: known } = await server.login(account)
  const { id: userId } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const unlocked = unknownDevice()
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from(unlocked)))
  const now = new Date(Date.now() + 1_000)
  await server.db.knownDevice.create({
    data: { userId, deviceHash: hash, hasSignedIn: false, createdAt: now, lastUsedAt: now },
  })
  const headers = { ...elsewhere(), cookie: cookieOf([unlocked, known]) }
  t.equal(given(await server.post('/auth/login', account, { headers })), known)
  t.equal(await news(account.email), 0)
})

t.test('the second step and the unlock read every device cookie too', async (t) => {
  const person = await createPerson(server)
  const { account, device_token: known } = person
  const { recoveryCodes } = await addTotp(server, person, Date.now())
  const headers = () => ({ ...elsewhere(), cookie: cookieOf([unknownDevice(), known]) })
  const first = await server.post('/auth/login', account, { headers: headers() })
  const second = { mfa_token: first.body.mfa_token, recovery_code: recoveryCodes[0] }
  const signedIn = await server.post('/auth/login/mfa', second, { headers: headers() })
  t.equal(signedIn.status, 200)
  t.equal(given(signedIn), known)
  t.equal(await news(account.email), 0)

  const locked = await server.createAccount()
  const { device_token: own } = await server.login(locked)
  const wrong = { ...locked, password: 'wrong' }
  for (let guess = 0; guess < 10; guess += 1) await server.post('/auth/login', wrong)
  const token = await server.lastToken(locked.email)
  for (const turn of ['first', 'repeated']) {
    const cookie = cookieOf([unknownDevice(), own])
    const unlocked = await server.post('/auth/unlock', { token }, { headers: { cookie } })
    t.equal(unlocked.status, 200)
    t.equal(given(unlocked), own, turn)
  }
})
