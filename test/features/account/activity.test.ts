import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { eventually } from '../../support/eventually.ts'
import { startServer } from '../../support/server.ts'

interface Event {
  id: string
  at: string
  type: string
  outcome: string
  reason: string | null
  session_id: string | null
  current: boolean
  ip: string
  user_agent: string | null
}

const server = await startServer(t)
const list = (bearer: string, query = '') => server.call('GET', `/auth/activity${query}`, { bearer })
const refresh = (refresh_token: string) => server.post('/auth/refresh', { refresh_token })
const told = ({ type, outcome, reason }: Event) => [type, outcome, reason].filter(Boolean).join(' ')

/** The newest page once it has all of these events; refusals are written just after their answer. */
async function eventsWith(t: Test, bearer: string, wanted: string[]): Promise<Event[]> {
  let events: Event[] = []
  const complete = async () => {
    events = (await list(bearer, '?limit=100')).body.events
    const missing = [...wanted]
    for (const event of events)
      if (missing.includes(told(event))) missing.splice(missing.indexOf(told(event)), 1)
    return missing.length === 0
  }
  await eventually(complete).catch(() => t.strictSame(events.map(told), wanted, 'all events are there'))
  return events
}

/** Every page, following the cursors; `between` runs before each further one. */
async function readAll(bearer: string, limit: number, between: () => Promise<unknown> = async () => {}) {
  const events: Event[] = []
  let query = `?limit=${limit}`
  for (;;) {
    const { body } = await list(bearer, query)
    events.push(...body.events)
    if (body.next_cursor === null) return events
    query = `?limit=${limit}&cursor=${body.next_cursor}`
    await between()
  }
}

const userIdOf = async (bearer: string): Promise<string> =>
  (await server.call('GET', '/me', { bearer })).body.id

/** Events of the last minutes, three to a millisecond. */
async function plant(userId: string, count: number, at = Date.now() - 60_000): Promise<void> {
  const data = Array.from({ length: count }, (_, index) => ({
    id: randomUUID(),
    at: new Date(at - Math.floor(index / 3)),
    type: 'login',
    outcome: 'failure',
    userId,
  }))
  await server.db.auditEvent.createMany({ data })
}

t.test('the activity of an account is listed with outcome, reason and session', async (t) => {
  const email = server.freshEmail()
  const account = { email, password: server.password }
  const wrong = { ...account, password: 'not the password at all' }
  // There is no account yet, so these never belong to one.
  await server.post('/auth/login', wrong)
  await server.post('/auth/request-password-reset', { email })

  await server.post('/auth/register', account)
  await server.post('/auth/verify-email', { token: await server.lastToken(email), password: server.password })
  await server.post('/auth/register', account)
  await server.post('/auth/login', wrong, { headers: { 'user-agent': 'Guesser/1' } })
  await server.db.user.update({ where: { email }, data: { disabledAt: new Date() } })
  await server.post('/auth/login', account)
  await server.post('/auth/request-password-reset', { email })
  await server.db.user.update({ where: { email }, data: { disabledAt: null } })

  const [byToken, byBearer, one, other, stolen] = [
    await server.login(account),
    await server.login(account),
    await server.login(account),
    await server.login(account),
    await server.login(account),
  ]
  await server.post('/auth/logout', { refresh_token: byToken.refresh_token })
  await refresh(byToken.refresh_token)
  await server.redis.flushdb()
  await server.call('POST', '/auth/logout', { bearer: byBearer.access_token })
  const cookie = await server.post('/auth/login', account)
  const jar = `${cookie.headers.getSetCookie()[0]?.split(';')[0]}`
  const origin = 'https://app.example.com'
  const renewed = await server.post('/auth/login', account, { headers: { cookie: jar, origin } })
  await eventsWith(t, renewed.body.access_token, ['session_end success signed_in_again'])
  await server.call('PATCH', '/me', { bearer: renewed.body.access_token, body: { name: 'Ada L.' } })
  const newJar = `${renewed.headers.getSetCookie()[0]?.split(';')[0]}`
  await server.post('/auth/logout', {}, { headers: { cookie: newJar, origin } })
  const stolenNext = await refresh(stolen.refresh_token)
  await server.age(11_000)
  t.match((await refresh(stolen.refresh_token)).body, { reason: 'reuse_detected' })
  t.match((await refresh(stolenNext.body.refresh_token)).body, { reason: 'reuse_detected' })
  const expired = await server.login(account)
  await server.age(15 * 86_400_000)
  t.match((await refresh(expired.refresh_token)).body, { reason: 'expired' })
  await refresh('nonsense')

  const here = await server.login(account)
  const bearer = here.access_token
  await server.call('DELETE', `/auth/sessions/${one.session.id}`, { bearer })
  await server.call('DELETE', '/auth/sessions', { bearer })
  const change = { current_password: wrong.password, new_password: 'another long passphrase' }
  await server.post('/auth/change-password', change, { bearer })
  await server.post('/auth/change-password', { ...change, current_password: server.password }, { bearer })
  await server.call('DELETE', '/me', { bearer, body: { password: wrong.password } })
  await server.call('POST', '/auth/logout-all', { bearer })
  await server.post('/auth/request-password-reset', { email })
  const reset = { token: await server.lastToken(email), password: 'yet another long passphrase' }
  await server.post('/auth/reset-password', reset)
  const last = await server.login({ email, password: reset.password })

  const login = 'login success'
  const wanted = [
    login,
    'password_reset success',
    'password_reset_request success',
    'logout success logout_all',
    'account_delete failure wrong_password',
    'password_change success',
    'password_change failure wrong_password',
    'session_end success revoked',
    'session_end success revoked',
    'session_end success revoked',
    login,
    'refresh failure expired',
    login,
    'refresh failure reuse_detected',
    'refresh failure reuse_detected',
    'logout success logout',
    'account_update success',
    'session_end success signed_in_again',
    login,
    login,
    'logout success logout',
    'refresh failure logout',
    'logout success logout',
    ...Array(5).fill(login),
    'password_reset_request failure disabled',
    'login failure disabled',
    'login failure wrong_password',
    'register failure already_registered',
    'verify_email success',
  ]
  const events = await eventsWith(t, last.access_token, wanted)
  t.strictSame(events.map(told), wanted, 'no other events, newest first')

  const sessionsOf = (what: string) =>
    events.filter((event) => told(event) === what).map((event) => event.session_id)
  t.strictSame(sessionsOf('refresh failure logout'), [byToken.session.id])
  t.strictSame(sessionsOf('refresh failure expired'), [expired.session.id])
  t.strictSame(sessionsOf('refresh failure reuse_detected'), Array(2).fill(stolen.session.id))
  t.strictSame(
    sessionsOf('logout success logout'),
    [renewed.body, byBearer, byToken].map(({ session }) => session.id),
  )
  t.strictSame(
    sessionsOf('session_end success revoked').sort(),
    [one.session.id, other.session.id, expired.session.id].sort(),
  )
  t.strictSame(
    events.filter((event) => event.current).map((event) => event.session_id),
    [last.session.id],
  )
  t.match(
    events.find((event) => told(event) === 'login failure wrong_password'),
    { session_id: null, current: false, ip: '127.0.0.1', user_agent: 'Guesser/1' },
  )

  const answer = await list(last.access_token)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.strictSame(Object.keys(answer.body).sort(), ['events', 'next_cursor'])
  const members = 'at by client_id current id ip outcome reason session_id type user_agent'.split(' ')
  for (const event of events) t.strictSame(Object.keys(event).sort(), members)
  const secrets = [email, ...Object.values(wrong), reset.password, reset.token]
  for (const { access_token, refresh_token } of [byToken, stolen, here, last])
    secrets.push(access_token, refresh_token)
  for (const secret of secrets) t.notOk(answer.text.includes(secret), 'no secret is shown')
})

t.test('only a valid network address is recorded, whatever a trusted header contains', async (t) => {
  const behind = await startServer(t, { env: { TRUST_PROXY: 'true' } })
  const account = await behind.createAccount()
  const { access_token: bearer } = await behind.login(account)
  for (const [forwarded, ip] of [
    ['2001:db8::1, 192.0.2.1', '2001:db8::1'],
    ['call 555 0100 to unlock', '127.0.0.1'],
    ['1'.repeat(9_000), '127.0.0.1'],
  ]) {
    const guess = { email: account.email, password: 'not the password' }
    await behind.post('/auth/login', guess, { headers: { 'x-forwarded-for': `${forwarded}` } })
    const { body } = await behind.call('GET', '/auth/activity?limit=1', { bearer })
    t.match(body.events, [{ type: 'login', outcome: 'failure', ip }])
  }
})

t.test('only the owner of an account sees its events, and only with a bearer token', async (t) => {
  const [ada, ben] = [await server.createAccount(), await server.createAccount()]
  const [hers, his] = [await server.login(ada), await server.login(ben)]
  await server.post('/auth/logout', { refresh_token: (await server.login(ada)).refresh_token })
  await server.post('/auth/login', { ...ben, password: 'wrong' })
  const all = ['login success', 'verify_email success']
  const herEvents = await eventsWith(t, hers.access_token, ['logout success logout', 'login success', ...all])
  const hisEvents = await eventsWith(t, his.access_token, ['login failure wrong_password', ...all])
  t.equal(herEvents.length, 4)
  t.equal(hisEvents.length, 3)
  const ids = new Set([...herEvents, ...hisEvents].map((event) => event.id))
  t.equal(ids.size, 7)
  t.equal((await server.call('GET', '/auth/activity')).status, 401)
  t.equal((await list(his.access_token, '?user_id=1')).status, 400)
})

t.test('pages contain each event once and in order, even while others are recorded', async (t) => {
  const session = await server.login(await server.createAccount())
  const bearer = session.access_token
  const userId = await userIdOf(bearer)
  await plant(userId, 9)
  const known = await readAll(bearer, 100)
  t.equal(known.length, 11)
  const order = known.map(({ at, id }) => `${at} ${id}`)
  t.strictSame(order, [...order].sort().reverse())

  for (let limit = 1; limit <= known.length + 1; limit += 1)
    t.strictSame(await readAll(bearer, limit), known, `${limit} per page`)
  const exact = await list(bearer, `?limit=${known.length}`)
  t.equal(exact.body.next_cursor, null, 'a full last page has no next one')

  for (const limit of [1, 2, 5]) {
    const before = await readAll(bearer, 100)
    const seen = await readAll(bearer, limit, () => plant(userId, 2, Date.now()))
    t.strictSame(seen, before, `${limit} per page while new ones are recorded`)
  }

  await plant(userId, 60)
  t.equal((await list(bearer)).body.events.length, 50, 'by default')
  t.equal((await list(bearer, '?limit=100')).body.events.length, 100)
})

t.test('a cursor outlives its event', async (t) => {
  const { access_token: bearer } = await server.login(await server.createAccount())
  const first = await list(bearer, '?limit=1')
  await server.db.auditEvent.delete({ where: { id: first.body.events[0].id } })
  const next = await list(bearer, `?limit=1&cursor=${first.body.next_cursor}`)
  t.match(next.body.events, [{ type: 'verify_email' }])
})

t.test('an invalid cursor or limit is a 400', async (t) => {
  const { access_token: bearer } = await server.login(await server.createAccount())
  const stranger = await server.login(await server.createAccount())
  const cursor: string = (await list(bearer, '?limit=1')).body.next_cursor
  const foreign: string = (await list(stranger.access_token, '?limit=1')).body.next_cursor
  const text = (value: string) => Buffer.from(value).toString('base64url')
  const cursors = [
    foreign,
    '',
    'x',
    cursor.slice(1),
    `${cursor}A`,
    `${cursor}=`,
    `${cursor.slice(0, -1)}${cursor.endsWith('8') ? '9' : '8'}`,
    `${cursor.slice(0, 50)}%0A`,
    'A'.repeat(51),
    '_'.repeat(51),
    'A'.repeat(8_000),
    "'%20OR%201=1%20--",
    text("' OR 1=1; DROP TABLE audit_events; --"),
    text(`${new Date().toISOString()},${randomUUID()}`),
    text(`+275760-09-13T00:00:00.001Z,${randomUUID()}`),
    text('{"at":"not a date","id":{"gt":""}}'),
    Buffer.alloc(38, 0xff).toString('base64url'),
    '%FF%FE%C0%80',
    '%00',
    '%F0%9F%A6%9C',
  ]
  for (const bad of cursors) {
    const answer = await list(bearer, `?cursor=${bad}`)
    t.match(
      answer.body,
      { status: 400, code: 'validation_failed', errors: [{ pointer: '/cursor' }] },
      bad.slice(0, 80),
    )
  }
  for (const bad of [
    '',
    '0',
    '-1',
    '05',
    '101',
    '1000',
    '1.5',
    '1e2',
    '%201',
    '5;',
    'ten',
    '9'.repeat(400),
    '%FF',
  ])
    t.match(
      (await list(bearer, `?limit=${bad}`)).body,
      { status: 400, code: 'validation_failed', errors: [{ pointer: '/limit' }] },
      bad,
    )
  for (const query of [`cursor=${cursor}&cursor=${cursor}`, 'limit=1&limit=2', 'cursor[at]=1', 'limit[]=1'])
    t.match((await list(bearer, `?${query}`)).body, { status: 400, code: 'validation_failed' }, query)
  t.equal((await list(bearer, `?limit=100&cursor=${cursor}`)).status, 200)

  const moved = (byte: number) => {
    const bytes = Buffer.from(cursor, 'base64url')
    return bytes.fill(byte, 0, 22).toString('base64url')
  }
  t.equal((await list(bearer, `?cursor=${moved(0xff)}`)).body.events.length, 2, 'after the end of time')
  t.strictSame((await list(bearer, `?cursor=${moved(0)}`)).body, { events: [], next_cursor: null })
})
