import t from 'tap'
import { LASTING_FAILURES, LOCK_FAILURES } from '../../../src/core/lockout/counters.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)

/** A locked account, and the token of the mail that its owner got. */
async function locked() {
  const account = await server.createAccount()
  await twenty(() => server.post('/auth/login', { email: account.email, password: 'not the password' }))
  return { account, token: await server.lastToken(account.email) }
}

t.test('the mailed link unlocks once, and only when its button is pressed', async (t) => {
  const { account, token } = await locked()
  t.equal((await server.post('/auth/login', account)).status, 429)
  const page = await server.call('GET', `/auth/unlock?token=${token}`)
  t.equal(page.status, 200)
  t.match(page.headers.get('content-type'), /^text\/html/)
  t.match(page.text, `name="token" value="${token}"`)
  t.equal((await server.post('/auth/login', account)).status, 429, 'opening the page does not unlock')
  const pressed = await server.call('POST', '/auth/unlock', {
    body: `token=${token}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  t.equal(pressed.status, 200)
  t.match(pressed.text, /unlocked/)
  t.equal((await server.post('/auth/login', account)).status, 200)
  t.match((await server.post('/auth/unlock', { token })).body, { status: 400, code: 'token_invalid' })
  const types = await server.db.auditEvent.findMany({ where: { type: { in: ['lock', 'unlock'] } } })
  t.strictSame(types.map(({ type, outcome }) => `${type} ${outcome}`).sort(), [
    'lock success',
    'unlock failure',
    'unlock success',
  ])
})

t.test('of 20 parallel uses one succeeds', async (t) => {
  const { account, token } = await locked()
  const answers = await twenty(() => server.post('/auth/unlock', { token }))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ body }) => body.code === 'token_invalid').length, 19)
  t.equal((await server.post('/auth/login', account)).status, 200)
})

t.test('a new password unlocks too, and invalidates the link', async (t) => {
  const { account, token } = await locked()
  await server.post('/auth/request-password-reset', { email: account.email })
  const password = 'another long passphrase'
  await server.post('/auth/reset-password', { token: await server.lastToken(account.email), password })
  t.equal((await server.post('/auth/login', { ...account, password })).status, 200)
  t.equal((await server.post('/auth/unlock', { token })).status, 400)
})

t.test('the owner is notified of the lasting lock, even after earlier mails', async (t) => {
  const { account } = await locked()
  const key = { bucket: 'password:lasting' }
  await server.db.guessCounter.updateMany({ where: key, data: { failures: LASTING_FAILURES - 1 } })
  await server.db.guessCounter.deleteMany({ where: { bucket: { not: key.bucket } } })
  await server.post('/auth/login', { email: account.email, password: 'not the password' })
  t.equal((await server.post('/auth/login', account)).status, 429)
  const mails = (await server.mailsTo(account.email)).filter(({ subject }) => /failed sign-ins/.test(subject))
  t.equal(mails.length, 2)
  t.match(mails[1]?.text, /only devices which signed in before/)
  t.equal((await server.post('/auth/unlock', { token: await server.lastToken(account.email) })).status, 200)
  t.equal((await server.post('/auth/login', account)).status, 200)
})

t.test('a link of another kind does not unlock', async (t) => {
  const { account } = await locked()
  await server.post('/auth/request-password-reset', { email: account.email })
  const token = await server.lastToken(account.email)
  t.equal((await server.post('/auth/unlock', { token })).status, 400)
  for (const bad of ['', 'x', 7, null, ['x'], { token }]) {
    t.equal((await server.post('/auth/unlock', { token: bad })).status, 400)
  }
  t.equal((await server.post('/auth/login', account)).status, 429)
})

t.test('an unverified address gets no such mail', async (t) => {
  const email = server.freshEmail()
  await server.post('/auth/register', { email, password: server.password })
  for (let turn = 0; turn < LOCK_FAILURES; turn += 1) {
    await server.post('/auth/login', { email, password: 'not the password' })
  }
  t.equal((await server.mailsTo(email)).length, 1)
})
