import { randomInt } from 'node:crypto'
import t from 'tap'
import { LASTING_FAILURES, LOCK_FAILURES, LOCK_MS } from '../../../src/core/lockout/counters.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { patiently } from '../../support/patiently.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { env: { TRUST_PROXY: '1' }, clock })

const anywhere = () => `198.51.${randomInt(256)}.${randomInt(256)}`
const from = (ip: string) => ({ headers: { 'x-forwarded-for': ip } })
const guess = (email: string, ip: string, password = 'not the password', device_token?: string) =>
  server.post('/auth/login', { email, password, transport: 'body', device_token }, from(ip))
const statuses = (answers: { status: number }[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}
/** Counts the guesses that were checked: a busy machine may answer some with 503, before or after. */
const checked = (email: string) =>
  server.db.user
    .findUniqueOrThrow({ where: { email } })
    .then(({ id: userId }) => server.db.auditEvent.count({ where: { userId, reason: 'wrong_password' } }))
const together = (count: number, ask: (index: number) => Promise<{ status: number }>) =>
  Promise.all(Array.from({ length: count }, (_, index) => ask(index)))
// Any node may send them.
const lockMails = (recipient: string) =>
  server.db.outboxMessage.count({ where: { recipient, topic: 'account_locked' } })

t.test('ten failures lock an account for one address, and for no other', async (t) => {
  const account = await server.createAccount()
  const [thief, owner] = [anywhere(), anywhere()]
  t.strictSame(statuses(await together(LOCK_FAILURES, () => guess(account.email, thief))), {
    401: LOCK_FAILURES,
  })
  const locked = await guess(account.email, thief, account.password)
  const { status, body } = locked
  t.equal(status, 429, 'the right password does not lift it')
  t.match(body, { code: 'too_many_attempts', reason: 'locked' })
  t.ok(Number(locked.headers.get('retry-after')) > 500)
  t.equal((await guess(account.email, owner, account.password)).status, 200)
  t.equal((await guess(account.email, thief, account.password)).status, 429, 'this lifts no other lock')
  clock.advance(LOCK_MS + 1_000)
  t.equal((await guess(account.email, thief, account.password)).status, 200)
})

t.test('an unknown address is locked in the same way', async (t) => {
  const [email, ip] = [server.freshEmail(), anywhere()]
  const known = await server.createAccount()
  const answers = []
  for (const address of [email, known.email]) {
    for (let turn = 0; turn < LOCK_FAILURES + 2; turn += 1) {
      const { status, body } = await guess(address, ip)
      const { request_id: _, ...rest } = body
      answers.push({ status, ...rest })
    }
  }
  t.strictSame(answers.slice(0, LOCK_FAILURES + 2), answers.slice(LOCK_FAILURES + 2))
})

t.test('300 parallel guesses at one address do not exceed the cap', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  const answers = await together(300, () => guess(account.email, ip))
  const { 401: wrong = 0, 429: refused = 0, 503: busy = 0, ...others } = statuses(answers)
  t.ok(wrong <= LOCK_FAILURES && (await checked(account.email)) <= LOCK_FAILURES)
  t.equal(wrong + refused + busy, 300)
  t.strictSame(others, {})
  t.ok(busy > 0 || wrong === LOCK_FAILURES)
  t.equal((await guess(account.email, ip)).status, 429)
  await becomes(t, async () => (await lockMails(account.email)) === 1, 'the owner has one mail')
})

t.test('300 parallel guesses from many addresses do not exceed the lasting cap', async (t) => {
  const account = await server.createAccount()
  const session = await server.login(account)
  const other = await startServer(t, { databaseUrl: server.databaseUrl, env: { TRUST_PROXY: '1' }, clock })
  const answers = await together(300, (index) =>
    (index % 2 ? server : other).post(
      '/auth/login',
      { email: account.email, password: 'not the password' },
      from(anywhere()),
    ),
  )
  const { 401: wrong = 0, 429: refused = 0, 503: busy = 0, ...others } = statuses(answers)
  t.ok(wrong <= LASTING_FAILURES && (await checked(account.email)) <= LASTING_FAILURES)
  t.equal(wrong + refused + busy, 300)
  t.strictSame(others, {})
  t.ok(busy > 0 || wrong === LASTING_FAILURES)
  while ((await guess(account.email, anywhere())).status !== 429)
    t.ok((await checked(account.email)) <= LASTING_FAILURES)
  await server.redis.flushdb()
  clock.advance(400 * 60_000)
  const still = await guess(account.email, anywhere(), account.password)
  t.match(still.body, { status: 429, reason: 'locked_until_unlocked' }, 'waiting does not lift it')
  t.equal(
    (await guess(account.email, anywhere(), account.password, session.device_token)).status,
    200,
    'it does not affect a known device',
  )
  t.equal((await server.post('/auth/refresh', { refresh_token: session.refresh_token })).status, 200)
  await becomes(t, async () => (await lockMails(account.email)) === 1, 'the owner has one mail')
  await other.close()

  t.equal((await server.post('/auth/request-password-reset', { email: account.email })).status, 202)
  const reset = await server.post('/auth/reset-password', {
    token: await server.lastToken(account.email),
    password: 'another long passphrase',
  })
  t.equal(reset.status, 204)
  t.equal((await guess(account.email, anywhere(), 'another long passphrase')).status, 200, 'a reset lifts it')
})

const failuresOf = async (email: string, bucket: string) => {
  const [account] = server.app.services.lockout.keysOf(email)
  const counter = await server.db.guessCounter.findUnique({ where: { account_bucket: { account, bucket } } })
  return counter?.failures ?? 0
}

t.test('a right sign-in costs nothing, and gives nobody else at its address a new start', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  for (let turn = 0; turn < LOCK_FAILURES + 2; turn += 1) {
    t.equal((await guess(account.email, ip, account.password)).status, 200)
  }
  t.equal(await server.db.guessCounter.count({ where: { bucket: `password:${ip}` } }), 0, 'it leaves no row')
  await together(LOCK_FAILURES - 1, () => guess(account.email, ip))
  for (let turn = 0; turn < 3; turn += 1) {
    t.equal((await guess(account.email, ip, account.password)).status, 200)
    t.equal(await failuresOf(account.email, `password:${ip}`), LOCK_FAILURES - 1)
  }
  t.equal((await guess(account.email, ip)).status, 401)
  t.equal((await guess(account.email, ip)).status, 429)
  t.equal((await guess(account.email, ip, account.password)).status, 429)
})

t.test('a right sign-in does not make earlier failures count for longer', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  await together(LOCK_FAILURES - 1, () => guess(account.email, ip))
  for (let turn = 0; turn < 3; turn += 1) {
    clock.advance(LOCK_MS / 4)
    t.equal((await guess(account.email, ip, account.password)).status, 200)
  }
  t.equal(await failuresOf(account.email, `password:${ip}`), LOCK_FAILURES - 1)
  clock.advance(LOCK_MS / 4 + 1_000)
  t.strictSame(statuses(await together(LOCK_FAILURES, () => guess(account.email, ip))), {
    401: LOCK_FAILURES,
  })
})

t.test('the lasting cap counts failures in a row', async (t) => {
  const account = await server.createAccount()
  await guess(account.email, anywhere())
  await server.db.guessCounter.updateMany({
    where: { bucket: 'password:lasting' },
    data: { failures: LASTING_FAILURES - 1 },
  })
  t.equal((await guess(account.email, anywhere(), account.password)).status, 200)
  t.equal(await failuresOf(account.email, 'password:lasting'), 0)
})

t.test('an accepted password that may not sign in counts as a failure', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  await server.db.user.update({ where: { email: account.email }, data: { resetRequiredAt: new Date() } })
  for (let turn = 0; turn < LOCK_FAILURES; turn += 1) {
    const { body } = await guess(account.email, ip, account.password)
    t.equal(body.code, 'password_reset_required')
  }
  t.equal((await guess(account.email, ip, account.password)).status, 429)
  await becomes(t, async () => (await lockMails(account.email)) === 1, 'the owner is told')
})

t.test('right and wrong guesses in parallel, over two nodes: the right ones all succeed', async (t) => {
  const account = await server.createAccount()
  const other = await startServer(t, { databaseUrl: server.databaseUrl, env: { TRUST_PROXY: '1' }, clock })
  const ip = anywhere()
  const wrong = 4
  const answers = await twenty(async (index) => {
    const isWrong = index % 5 === 0
    const password = isWrong ? 'not the password' : account.password
    const body = { email: account.email, password, transport: 'body' }
    const node = index % 2 ? server : other
    const { status } = await patiently(() => node.post('/auth/login', body, from(ip)))
    return { isWrong, status }
  })
  t.strictSame(statuses(answers.filter(({ isWrong }) => isWrong)), { 401: wrong })
  t.strictSame(statuses(answers.filter(({ isWrong }) => !isWrong)), { 200: 20 - wrong })
  t.equal(await failuresOf(account.email, `password:${ip}`), wrong)

  const rest = await together(40, (index) =>
    (index % 2 ? server : other).post(
      '/auth/login',
      { email: account.email, password: index % 4 < 2 ? 'wrong' : account.password, transport: 'body' },
      from(ip),
    ),
  )
  t.ok((statuses(rest)[401] ?? 0) <= LOCK_FAILURES - wrong, 'right ones make no room for more wrong ones')
  t.ok((await checked(account.email)) <= LOCK_FAILURES)
  await other.close()
})

t.test('other spellings of an address, forged headers and one IPv6 /64 share a lock', async (t) => {
  const account = await server.createAccount()
  const [name = '', domain = ''] = account.email.split('@')
  const spellings = [
    account.email,
    account.email.toUpperCase(),
    `  ${account.email}\t`,
    `${name}@${domain.toUpperCase()}`,
    `\u00a0${account.email}`,
  ]
  const network = `2001:db8:${randomInt(9999)}:7`
  for (let turn = 0; turn < LOCK_FAILURES; turn += 1) {
    const email = spellings[turn % spellings.length] as string
    const headers = {
      'x-forwarded-for': `10.0.0.${turn}, ${network}::${turn + 1}`,
      'x-real-ip': `10.1.0.${turn}`,
      forwarded: `for=10.2.0.${turn}`,
    }
    t.equal((await server.post('/auth/login', { email, password: 'wrong' }, { headers })).status, 401)
  }
  t.equal((await guess(account.email, `${network}:ffff:ffff:ffff:ffff`, account.password)).status, 429)
})

t.test('a known device has its own lock, by cookie and by token', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  const { device_token } = (await guess(account.email, ip, account.password)).body
  t.match(device_token, /^dt1_[\w-]{43}$/)
  await together(LOCK_FAILURES + 1, () => guess(account.email, ip))
  t.equal((await guess(account.email, ip, account.password)).status, 429)
  t.equal((await guess(account.email, ip, account.password, `dt1_${'A'.repeat(43)}`)).status, 429)
  t.equal((await guess(account.email, ip, account.password, device_token)).status, 200)
  const own = await together(LOCK_FAILURES, () => guess(account.email, anywhere(), 'wrong', device_token))
  t.strictSame(statuses(own), { 401: LOCK_FAILURES })
  t.equal((await guess(account.email, anywhere(), account.password, device_token)).status, 429)
  t.equal((await guess(account.email, anywhere(), account.password)).status, 200, 'it does not lock others')
  const other = await server.createAccount()
  t.equal((await guess(other.email, ip, other.password, device_token)).status, 200)
})

t.test('all known devices of an account share a hundred guesses', async (t) => {
  const account = await server.createAccount()
  const tokens = await together(15, () => guess(account.email, anywhere(), account.password))
  const devices = (tokens as { body?: { device_token: string } }[]).map(({ body }) => body?.device_token)
  for (let turn = 0; turn < LOCK_FAILURES; turn += 1) {
    await Promise.all(devices.map((device) => guess(account.email, anywhere(), 'wrong', device)))
    // Of a minute no more than 60 of its events are kept.
    clock.advance(20_000)
  }
  t.equal(await checked(account.email), LASTING_FAILURES)
  clock.advance(LOCK_MS + 1_000)
  t.equal((await guess(account.email, anywhere(), account.password, devices[0])).status, 429)
  t.equal((await guess(account.email, anywhere(), account.password)).status, 200, 'they do not lock others')
})

t.test('after a password change earlier devices are no longer known', async (t) => {
  const next = 'another long passphrase'
  const change = async (_email: string, password: string, bearer: string) =>
    server.post('/auth/change-password', { current_password: password, new_password: next }, { bearer })
  const reset = async (email: string) => {
    await server.post('/auth/request-password-reset', { email })
    return server.post('/auth/reset-password', { token: await server.lastToken(email), password: next })
  }
  for (const renew of [change, reset]) {
    const { email, password } = await server.createAccount()
    const ip = anywhere()
    const { device_token, access_token } = (await guess(email, ip, password)).body
    t.equal((await renew(email, password, access_token)).status, 204)
    await together(LOCK_FAILURES, () => guess(email, ip))
    t.equal((await guess(email, ip, next, device_token)).status, 429)
  }
})

t.test('a password change lifts the lock from guesses at the old password, and no other', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer, device_token } = await server.login(account)
  await guess(account.email, anywhere())
  await server.db.guessCounter.updateMany({
    where: { bucket: 'password:lasting' },
    data: { failures: LASTING_FAILURES },
  })
  t.equal((await guess(account.email, anywhere(), account.password)).status, 429)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const factors = {
    account: server.app.services.lockout.keysOf(id)[0],
    bucket: 'second_factor:lasting',
  }
  await server.db.guessCounter.create({ data: { ...factors, failures: 7, updatedAt: new Date() } })
  const password = 'another long passphrase'
  const change = { current_password: account.password, new_password: password }
  t.equal((await server.post('/auth/change-password', change, { bearer })).status, 204)
  t.equal((await guess(account.email, anywhere(), password, device_token)).status, 200)
  t.equal(await server.db.guessCounter.count({ where: { ...factors, failures: 7 } }), 1)
})

t.test('an answer of an overloaded or failing server does not count as a guess', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  await server.db.$executeRaw`ALTER TABLE sessions RENAME TO sessions_renamed`
  for (let turn = 0; turn < LOCK_FAILURES + 2; turn += 1) {
    t.equal((await guess(account.email, ip, account.password)).status, 500)
  }
  await server.db.$executeRaw`ALTER TABLE sessions_renamed RENAME TO sessions`
  t.equal((await guess(account.email, ip, account.password)).status, 200)
})

t.test('a guess and an unlock do not deadlock', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  await together(LOCK_FAILURES, () => server.call('DELETE', '/me', { bearer, body: { password: 'wrong' } }))
  const token = await server.lastToken(account.email)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const key = { account: server.app.services.lockout.keysOf(id)[0] }
  const waiting = async () => {
    const [{ waiting: count } = { waiting: 0 }] = await server.db.$queryRaw<{ waiting: number }[]>`
      SELECT count(*)::int AS waiting FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`
    return count > 0
  }
  // Their order in the table decides in which order a careless unlock would lock them.
  const rows = await server.db.guessCounter.findMany({ where: key, orderBy: { bucket: 'asc' } })
  await server.db.guessCounter.deleteMany({ where: key })
  await server.db.guessCounter.createMany({ data: rows })
  t.strictSame(
    rows.map(({ bucket }) => bucket),
    ['step_up:lasting', 'step_up:strangers'],
  )
  // Does what a guess does, and pauses in the middle.
  const unlocking = await server.db.$transaction(async (tx) => {
    await tx.guessCounter.updateMany({
      where: { ...key, bucket: 'step_up:strangers' },
      data: { failures: 9 },
    })
    const unlocking = server.post('/auth/unlock', { token })
    await eventually(waiting)
    await tx.guessCounter.updateMany({ where: { ...key, bucket: 'step_up:lasting' }, data: { failures: 9 } })
    return { answer: unlocking }
  })
  t.equal((await unlocking.answer).status, 200)
  t.equal(await server.db.guessCounter.count({ where: key }), 0)
})

t.test('what a right password allowed is done even if the count cannot be cleared', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  await guess(account.email, anywhere())
  await server.db
    .$executeRaw`CREATE FUNCTION refuse() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''no''; END' LANGUAGE plpgsql`
  await server.db.$executeRaw`CREATE TRIGGER refuse BEFORE DELETE ON guess_counters EXECUTE FUNCTION refuse()`
  const change = { password: account.password, new_email: server.freshEmail() }
  t.equal((await server.post('/auth/change-email', change, { bearer })).status, 202)
  // A sign-in clears the count in the statement that starts the session: both or neither.
  const before = await server.db.session.count()
  t.equal((await guess(account.email, anywhere(), account.password)).status, 500)
  t.equal(await server.db.session.count(), before)
  await server.db.$executeRaw`DROP FUNCTION refuse CASCADE`
  t.equal((await guess(account.email, anywhere(), account.password)).status, 200)
})

t.test('failures from before the registration do not lock out the owner', async (t) => {
  const [email, next] = [server.freshEmail(), server.freshEmail()]
  for (const address of [email, next]) {
    for (let turn = 0; turn < LASTING_FAILURES / LOCK_FAILURES; turn += 1) {
      const ip = anywhere()
      await together(LOCK_FAILURES, () => guess(address, ip))
    }
    t.equal((await guess(address, anywhere())).status, 429)
  }
  const account = await server.createAccount(email)
  const signedIn = await guess(email, anywhere(), account.password)
  t.equal(signedIn.status, 200)
  await server.post(
    '/auth/change-email',
    { password: account.password, new_email: next },
    { bearer: signedIn.body.access_token },
  )
  const token = await server.lastToken(next)
  t.equal((await server.post('/auth/confirm-email-change', { token })).status, 200)
  t.equal((await guess(next, anywhere(), account.password)).status, 200)
})

t.test('20 parallel honest sign-ins from one address all succeed', async (t) => {
  const account = await server.createAccount()
  const ip = anywhere()
  t.strictSame(statuses(await twenty(() => guess(account.email, ip, account.password))), { 200: 20 })
})

t.test('guesses from inside a session are capped too, at every endpoint', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const answers = await twenty((index) =>
    index % 2
      ? server.call('DELETE', '/me', { bearer, body: { password: `wrong ${index}` } })
      : server.post(
          '/auth/change-password',
          { current_password: `wrong ${index}`, new_password: 'a new long passphrase' },
          { bearer },
        ),
  )
  t.strictSame(statuses(answers), { 401: LOCK_FAILURES, 429: 20 - LOCK_FAILURES })
  const right = await server.call('DELETE', '/me', { bearer, body: { password: account.password } })
  t.equal(right.status, 429)
  t.equal((await server.post('/auth/login', account)).status, 200, 'signing in is not affected')
})
