import t from 'tap'
import { LASTING_FAILURES, LOCK_FAILURES } from '../../../src/core/lockout/counters.ts'
import { REPEATS } from '../../../src/features/sign-in/unlock-account.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock, env: { TRUST_PROXY: '1' } })

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

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
let places = 0
/** A place from which nobody has come before: ten guesses from one lock that place only. */
const anywhere = () => {
  places += 1
  return { 'x-forwarded-for': `198.51.${places >> 8}.${places & 255}` }
}
const signIn = (
  account: { email: string; password: string },
  extra: object = {},
  headers: Record<string, string> = anywhere(),
) => server.post('/auth/login', { ...account, ...extra }, { headers })

const AT_ONCE = 2

/** What an attacker does from anywhere until even the right password is refused, everywhere. */
async function attack({ email }: { email: string }) {
  for (let turn = 0; turn < LASTING_FAILURES / LOCK_FAILURES; turn += AT_ONCE) {
    const from = Array.from({ length: AT_ONCE }, anywhere)
    const guesses = Array.from({ length: AT_ONCE * LOCK_FAILURES }, async (_, index) => {
      // A guess for which a busy machine has no time does not count.
      while (
        (await signIn({ email, password: 'not the password' }, {}, from[index % AT_ONCE])).status === 503
      );
    })
    await Promise.all(guesses)
  }
}
async function attacked() {
  const account = await server.createAccount()
  await attack(account)
  t.match((await signIn(account)).body, { status: 429, reason: 'locked_until_unlocked' })
  return { account, token: await server.lastToken(account.email) }
}
const isLockedOut = async (account: { email: string; password: string }) =>
  (await signIn(account)).body.reason === 'locked_until_unlocked'
const cookiesOf = ({ headers }: { headers: Headers }) =>
  headers.getSetCookie().map((cookie) => cookie.split(';')[0] as string)

t.test('after an unlock, the next hundred guesses do not keep the owner out of that browser', async (t) => {
  const { account, token } = await attacked()
  const press = { body: `token=${token}`, headers: { ...FORM, ...anywhere() } }
  const pressed = await server.call('POST', '/auth/unlock', press)
  t.match(pressed.headers.getSetCookie(), [/^ratchet-device-dev=dt1_[\w-]{43}; Max-Age=34560000;.*HttpOnly/])
  const [cookie = ''] = cookiesOf(pressed)

  await attack(account)
  t.ok(await isLockedOut(account), 'everybody else is kept out')
  const owner = await server.post('/auth/login', account, { headers: { cookie, ...anywhere() } })
  t.equal(owner.status, 200)
  t.equal(cookiesOf(owner)[1], cookie, 'it is an ordinary known device from now on')
  t.equal(
    (await server.mailsTo(account.email)).filter(({ subject }) => /New sign-in/.test(subject)).length,
    0,
    'it is the first sign-in of the account',
  )
})

t.test('with JSON, the client may ask for a device token, or present the one that it has', async (t) => {
  for (const own of [undefined, `dt1_${'k'.repeat(43)}`]) {
    const { account, token } = await attacked()
    const unlocked = await server.post('/auth/unlock', { token, transport: 'body', device_token: own })
    t.equal(unlocked.status, 200)
    t.equal(unlocked.headers.getSetCookie().length, 0)
    const { status, device_token } = unlocked.body
    t.equal(status, 'unlocked')
    if (own) t.equal(device_token, own)
    await attack(account)
    t.ok(await isLockedOut(account))
    t.equal((await signIn(account, { transport: 'body', device_token })).status, 200)
  }
  const { token } = await attacked()
  const plain = await server.post('/auth/unlock', { token })
  t.strictSame(plain.body, { status: 'unlocked' }, 'only if it asks')
})

t.test('a link that is opened, wrong, or pressed by a foreign page makes no device known', async (t) => {
  const { account, token } = await attacked()
  const known = () => server.db.knownDevice.count({ where: { user: { email: account.email } } })
  for (const method of ['GET', 'HEAD']) {
    const opened = await server.call(method, `/auth/unlock?token=${token}`)
    t.equal(opened.headers.getSetCookie().length, 0)
  }
  const wrong = await server.post('/auth/unlock', { token: 'x', transport: 'body' })
  t.equal(wrong.status, 400)
  t.notOk('device_token' in wrong.body)
  t.ok(await isLockedOut(account))
  const foreign = await server.post(
    '/auth/unlock',
    { token },
    { headers: { origin: 'https://elsewhere.example' } },
  )
  t.equal(foreign.status, 200)
  t.equal(foreign.headers.getSetCookie().length, 0)
  const again = await server.call('POST', '/auth/unlock', { body: `token=${token}`, headers: FORM })
  t.equal(again.status, 200)
  t.equal(await known(), 1, 'its owner still can')
  await server.post('/auth/request-password-reset', { email: account.email })
  const password = 'another passphrase of the owner'
  await server.post('/auth/reset-password', { token: await server.lastToken(account.email), password })
  const late = await server.call('POST', '/auth/unlock', { body: `token=${token}`, headers: FORM })
  t.equal(late.status, 400)
  t.equal(late.headers.getSetCookie().length, 0)
  t.equal(await known(), 0, 'a reset makes all devices unknown')
})

t.test('a second press makes the browser known in which it happens, with or without a lock', async (t) => {
  const { account, token } = await attacked()
  await server.post('/auth/unlock', { token })
  for (const isLocked of [false, true]) {
    if (isLocked) await attack(account)
    const pressed = await server.call('POST', '/auth/unlock', {
      body: `token=${token}`,
      headers: { ...FORM, ...anywhere() },
    })
    const [cookie = ''] = cookiesOf(pressed)
    await attack(account)
    t.ok(await isLockedOut(account))
    const headers = { cookie, ...anywhere() }
    t.equal((await server.post('/auth/login', account, { headers })).status, 200)
    const repeated = await server.call('POST', '/auth/unlock', {
      body: `token=${token}`,
      headers: { ...FORM, ...headers },
    })
    t.equal(repeated.status, 200)
    t.strictSame(cookiesOf(repeated), [cookie], 'the same device')
  }
})

t.test('the link opens no account, and the device that it makes known is new to the owner', async (t) => {
  const account = await server.createAccount()
  const { device_token: ofOwner } = (await signIn(account, { transport: 'body' })).body
  await attack(account)
  const token = await server.lastToken(account.email)
  const thief = await server.post('/auth/unlock', { token, transport: 'body' })
  const { device_token } = thief.body
  t.strictSame(Object.keys(thief.body).sort(), ['device_token', 'status'])

  for (let turn = 0; turn < LASTING_FAILURES / LOCK_FAILURES; turn += 1) {
    const guesses = await twenty(() =>
      signIn({ ...account, password: 'wrong' }, { transport: 'body', device_token }),
    )
    t.ok(guesses.filter(({ status }) => status === 401).length <= LOCK_FAILURES)
    await server.db.guessCounter.deleteMany({ where: { bucket: { contains: ':device:' } } })
  }
  t.match((await signIn(account, { transport: 'body', device_token })).body, {
    reason: 'locked_until_unlocked',
  })
  const owner = await signIn(account, { transport: 'body', device_token: ofOwner })
  t.equal(owner.status, 200, 'it has not used up the count of the devices that have signed in')

  await server.db.guessCounter.deleteMany()
  const agent = { 'user-agent': 'Thief/1', ...anywhere() }
  t.equal((await signIn(account, { transport: 'body', device_token }, agent)).status, 200)
  const news = async () =>
    (await server.mailsTo(account.email)).filter(({ subject }) => /New sign-in/.test(subject)).length
  t.equal(await news(), 1, 'the owner is told of the first sign-in in it')
  await signIn(account, { transport: 'body', device_token }, { 'user-agent': 'Thief/2', ...anywhere() })
  t.equal(await news(), 1, 'and of no later one')
})

t.test('an unlock makes ten devices known at most', async (t) => {
  const { account } = await attacked()
  const { id: userId } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const now = new Date()
  await server.db.knownDevice.createMany({
    data: Array.from({ length: 10 }, () => ({
      userId,
      deviceHash: crypto.getRandomValues(new Uint8Array(32)),
      hasSignedIn: false,
      createdAt: now,
      lastUsedAt: now,
    })),
  })
  const token = await server.lastToken(account.email)
  t.equal((await server.post('/auth/unlock', { token, transport: 'body' })).status, 200)
  t.equal(await server.db.knownDevice.count({ where: { userId } }), 10)
})
