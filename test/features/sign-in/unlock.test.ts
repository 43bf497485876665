import t from 'tap'
import { LASTING_FAILURES, LOCK_FAILURES } from '../../../src/core/lockout/counters.ts'
import { REPEATS } from '../../../src/features/sign-in/unlock-account.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

/** A locked account, and the token of the mail that its owner got. */
async function locked() {
  const account = await server.createAccount()
  await lock(account.email)
  return { account, token: await server.lastToken(account.email) }
}
type Account = Awaited<ReturnType<typeof locked>>['account']

const lock = (email: string) =>
  twenty(() => server.post('/auth/login', { email, password: 'not the password' }))
const idOf = async (email: string) => (await server.db.user.findUniqueOrThrow({ where: { email } })).id

async function eventsOf(email: string) {
  const where = { userId: await idOf(email), type: { in: ['lock', 'unlock'] } }
  const found = await server.db.auditEvent.findMany({ where })
  return found.map(({ type, outcome }) => `${type} ${outcome}`).sort()
}

t.test('the mailed link unlocks only when its button is pressed', async (t) => {
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
  t.strictSame(await eventsOf(account.email), ['lock success', 'unlock success'])
})

t.test('20 parallel uses all tell that the account is unlocked, and unlock it once', async (t) => {
  const { account, token } = await locked()
  const answers = await twenty(() => server.post('/auth/unlock', { token }))
  for (const { status, body } of answers) t.strictSame([status, body], [200, { status: 'unlocked' }])
  t.equal((await server.post('/auth/login', account)).status, 200)
  t.strictSame(await eventsOf(account.email), ['lock success', 'unlock success'])
  t.equal(
    (await server.db.usedToken.findFirst({ where: { userId: await idOf(account.email) } }))?.repeatsLeft,
    3,
  )
})

t.test('a used link unlocks again after others have locked the account, three times at most', async (t) => {
  const { account, token } = await locked()
  const press = () => server.post('/auth/unlock', { token })
  t.equal((await press()).status, 200)
  for (let again = 1; again <= REPEATS; again += 1) {
    await lock(account.email)
    t.equal((await server.post('/auth/login', account)).status, 429)
    t.equal((await server.call('GET', `/auth/unlock?token=${token}`)).status, 200)
    t.strictSame((await press()).body, { status: 'unlocked' }, `again ${again}`)
    if (again === 1) t.equal((await press()).status, 200, 'a press while nothing is locked does not count')
    t.equal((await server.post('/auth/login', account)).status, 200)
  }
  await lock(account.email)
  t.match((await press()).body, { status: 400, code: 'token_used' }, 'a thief cannot guess for ever')
  t.equal((await server.post('/auth/login', account)).status, 429)
  const [refused] = await server.db.auditEvent.findMany({ where: { type: 'unlock', outcome: 'failure' } })
  t.match(refused, { reason: 'token_used', userId: await idOf(account.email) }, 'the owner can see it')
})

t.test('20 parallel uses of a used link unlock again once', async (t) => {
  const { account, token } = await locked()
  await server.post('/auth/unlock', { token })
  await lock(account.email)
  for (const { status } of await twenty(() => server.post('/auth/unlock', { token }))) t.equal(status, 200)
  t.equal(
    (await server.db.usedToken.findFirst({ where: { userId: await idOf(account.email) } }))?.repeatsLeft,
    2,
  )
})

t.test(
  'a used link unlocks nothing more once it would have expired, or its account has changed',
  async (t) => {
    const dead = async (what: string, code: string, act: (account: Account) => Promise<unknown>) => {
      const { account, token } = await locked()
      t.equal((await server.post('/auth/unlock', { token })).status, 200)
      await act(account)
      await lock(account.email)
      t.match((await server.post('/auth/unlock', { token })).body, { code }, what)
      t.match((await server.call('GET', `/auth/unlock?token=${token}`)).body, { code }, what)
    }
    await dead('an hour', 'token_invalid', async () => clock.advance(3_600_001))
    await dead('a reset', 'token_used', async ({ email }) => {
      await server.post('/auth/request-password-reset', { email })
      await server.post('/auth/reset-password', {
        token: await server.lastToken(email),
        password: 'reset in between',
      })
    })
    await dead('a new password', 'token_used', async (account) => {
      const { access_token: bearer } = await server.login(account)
      const passwords = { current_password: account.password, new_password: 'changed in between' }
      await server.post('/auth/change-password', passwords, { bearer })
    })
    await dead('a change of address', 'token_used', async (account) => {
      const { access_token: bearer } = await server.login(account)
      const new_email = server.freshEmail()
      await server.post('/auth/change-email', { password: account.password, new_email }, { bearer })
      await server.post('/auth/confirm-email-change', { token: await server.lastToken(new_email) })
    })
    await dead('disabling', 'token_used', ({ email }) =>
      server.db.user.update({ where: { email }, data: { disabledAt: new Date() } }),
    )
    await dead('deletion', 'token_invalid', async (account) => {
      const { access_token: bearer } = await server.login(account)
      await server.call('DELETE', '/me', { bearer, body: { password: account.password } })
    })
  },
)

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
