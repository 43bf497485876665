import fc from 'fast-check'
import t from 'tap'
import type { Answer } from '../../support/caller.ts'
import { statementsOf } from '../../support/costs.ts'
import { eventually } from '../../support/eventually.ts'
import { check } from '../../support/property.ts'
import { startServer } from '../../support/server.ts'

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false

const APP = 'https://app.example.com'
const NAME = '__Host-ratchet'
const HTTPS = { PUBLIC_URL: 'https://auth.example.com' }
const server = await startServer(t, { env: HTTPS })
const account = await server.createAccount()

const cookieOf = (name: string, values: readonly string[]) =>
  values.map((value) => `${name}=${value}`).join('; ')
const headersOf = (tokens: readonly string[]) => ({ cookie: cookieOf(NAME, tokens), origin: APP })
const refresh = (tokens: readonly string[], headers: Record<string, string> = {}) =>
  server.post('/auth/refresh', {}, { headers: { ...headersOf(tokens), ...headers } })
const alone = (refresh_token: string) => server.post('/auth/refresh', { refresh_token })
const setBy = (answer: Answer) =>
  answer.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0]?.split('=')[1] ?? '')
    .filter(Boolean)
const nextOf = (answer: Answer) => setBy(answer)[0] as string
const theftMails = (recipient: string) =>
  server.db.outboxMessage.count({ where: { recipient, topic: 'refresh_reuse_detected' } })
const bothOrders = <T>(a: T, b: T): T[][] => [
  [a, b],
  [b, a],
]

const EXPIRED_VARIANTS = [
  `${NAME}=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax`,
  `${NAME}=; Max-Age=0; Path=/; HttpOnly; Secure; Partitioned; SameSite=None`,
]

t.test('an old cookie beside the current one of its session is no reuse', async (t) => {
  const owner = await server.createAccount()
  for (const isOldFirst of [true, false]) {
    const { refresh_token: old, session } = await server.login(owner)
    let current = (await alone(old)).body.refresh_token as string
    for (let turn = 0; turn < 3; turn += 1) {
      await server.age(20_000)
      const answer = await refresh(isOldFirst ? [old, current] : [current, old])
      t.equal(answer.status, 200)
      t.equal(answer.body.session.id, session.id)
      current = nextOf(answer)
    }
  }
  t.equal(await theftMails(owner.email), 0)
})

t.test('the cookie of an ended session does not hide a live one, whichever comes first', async (t) => {
  const { refresh_token: ended } = await server.login(account)
  await server.post('/auth/logout', { refresh_token: ended })
  for (const isEndedNewer of [false, true]) {
    let live = await server.login(account)
    if (isEndedNewer) {
      const newer = await server.login(account)
      await server.post('/auth/logout', { refresh_token: newer.refresh_token })
    }
    for (const tokens of bothOrders(ended, live.refresh_token)) {
      const answer = await refresh(tokens)
      t.equal(answer.status, 200)
      const cookies = answer.headers.getSetCookie()
      t.strictSame(cookies.slice(0, 2), EXPIRED_VARIANTS, 'every variant is expired …')
      t.match(cookies[2], /^__Host-ratchet=rt1_.*; Secure; SameSite=Lax$/, '… before the live one is set')
      t.equal(cookies.length, 3)
      live = await server.login(account)
    }
  }
})

t.test('of two live sessions the latest sign-in is used, and the other one ends', async (t) => {
  for (const isOlderFirst of [true, false]) {
    const older = await server.login(account)
    const newer = await server.login(account)
    // Being used does not make a session newer.
    const used = (await alone(older.refresh_token)).body.refresh_token
    const answer = await refresh(isOlderFirst ? [used, newer.refresh_token] : [newer.refresh_token, used])
    t.equal(answer.status, 200)
    t.equal(answer.body.session.id, newer.session.id)
    t.match((await alone(used)).body, { code: 'session_ended', reason: 'signed_in_again' })
    t.equal((await server.call('GET', '/me', { bearer: older.access_token })).status, 401)
    t.equal((await alone(nextOf(answer))).status, 200)
  }
})

t.test('a later sign-in that has expired does not hide an earlier one that is used', async (t) => {
  const older = await server.login(account)
  const newer = await server.login(account)
  await server.age(10 * 86_400_000)
  const used = (await alone(older.refresh_token)).body.refresh_token
  await server.age(10 * 86_400_000)
  const answer = await refresh([newer.refresh_token, used])
  t.equal(answer.status, 200)
  t.equal(answer.body.session.id, older.session.id)
})

t.test('text that is no token of this server counts for nothing beside one that is', async (t) => {
  const { refresh_token: token } = await server.login(account)
  const forged = `${token.slice(0, -2)}AA`
  const sent = [
    '',
    'x',
    forged,
    'rt1_',
    token.toUpperCase(),
    '%E0%A4%A',
    '"quoted"',
    token,
    'x'.repeat(2_000),
  ]
  const answer = await refresh(sent)
  t.equal(answer.status, 200)
  t.equal(setBy(answer).length, 1)
  const invalid = await refresh(['', forged, 'x'])
  t.match(invalid, { status: 401, body: { code: 'refresh_token_invalid' } })
  t.equal(invalid.headers.getSetCookie().length, 0)
  const others = `other=${token}; x${NAME}=${token}; ${NAME}-device=${token}; ${NAME}.other=${token}`
  const foreign = await server.post('/auth/refresh', {}, { headers: { cookie: others, origin: APP } })
  t.match(foreign, { status: 401, body: { code: 'refresh_token_invalid' } }, 'cookies of other names')
})

t.test('a theft is detected whatever is sent along', async (t) => {
  const owner = await server.createAccount()
  const older = await server.login(owner)
  const newer = await server.login(owner)
  const stolen = newer.refresh_token
  await alone(stolen)
  await server.age(20_000)
  const answer = await refresh([stolen, older.refresh_token])
  t.equal(answer.status, 200, 'the other session still works')
  t.equal(answer.body.session.id, older.session.id)
  const ended = await alone(stolen)
  t.match(ended.body, { code: 'session_ended', reason: 'reuse_detected' })
  t.equal(await theftMails(owner.email), 1)

  const thief = (await server.login(owner)).refresh_token
  const taken = (await alone(thief)).body.refresh_token
  await server.age(20_000)
  const again = (await server.login(owner)).refresh_token
  t.equal((await refresh([thief, again])).status, 200)
  t.match(
    (await alone(taken)).body,
    { code: 'session_ended', reason: 'reuse_detected' },
    'also an untried one',
  )
  t.equal(await theftMails(owner.email), 2)

  const single = await server.login(owner)
  await alone(single.refresh_token)
  await server.age(20_000)
  const reuse = await refresh([ended.body.code, single.refresh_token])
  t.match(reuse, { status: 401, body: { reason: 'reuse_detected' } })
  t.equal(await theftMails(owner.email), 3)
})

t.test('if all sessions have ended, the answer is about the latest, and changes no cookie', async (t) => {
  const first = await server.login(account)
  await server.post('/auth/logout', { refresh_token: first.refresh_token })
  const second = await server.login(account)
  await server.call('DELETE', `/auth/sessions/${second.session.id}`, { bearer: second.access_token })
  for (const tokens of bothOrders(first.refresh_token, second.refresh_token)) {
    const answer = await refresh(tokens)
    t.match(answer, { status: 401, body: { code: 'session_ended', reason: 'revoked' } })
    t.equal(answer.headers.getSetCookie().length, 0)
  }
})

t.test('a straggling tab is told so, and no cookie changes', async (t) => {
  const older = await server.login(account)
  const newer = await server.login(account)
  const second = (await alone(newer.refresh_token)).body.refresh_token
  await alone(second)
  const answer = await refresh([older.refresh_token, newer.refresh_token])
  t.match(answer, { status: 409, body: { code: 'refresh_superseded' } })
  t.equal(answer.headers.getSetCookie().length, 0)
  t.equal((await alone(older.refresh_token)).status, 200, 'nothing has ended')
})

t.test('a retry after a lost answer gets the same token, with everything sent again', async (t) => {
  const older = await server.login(account)
  const newer = await server.login(account)
  const tokens = [older.refresh_token, newer.refresh_token]
  const key = { 'idempotency-key': 'one attempt' }
  const lost = await refresh(tokens, key)
  await server.age(60_000)
  const retried = await refresh(tokens, key)
  t.equal(retried.status, 200)
  t.equal(nextOf(retried), nextOf(lost))
})

t.test('a sign-out ends every session that the cookies name, and expires every variant', async (t) => {
  const sessions = [await server.login(account), await server.login(account), await server.login(account)]
  const [first, ...others] = sessions.map(({ refresh_token }) => refresh_token) as [string, ...string[]]
  const used = (await alone(first)).body.refresh_token
  const answer = await server.post('/auth/logout', {}, { headers: headersOf(['x', ...others, first, used]) })
  t.equal(answer.status, 204)
  t.strictSame(answer.headers.getSetCookie(), EXPIRED_VARIANTS)
  for (const token of [used, ...others]) {
    t.match((await alone(token)).body, { code: 'session_ended', reason: 'logout' })
  }
  for (const { access_token: bearer } of sessions) {
    t.equal((await server.call('GET', '/me', { bearer })).status, 401)
  }
})

t.test('a sign-in ends every session that the cookies name', async (t) => {
  const sessions = [await server.login(account), await server.login(account)]
  const tokens = sessions.map(({ refresh_token }) => refresh_token)
  const answer = await server.post('/auth/login', account, { headers: headersOf(tokens) })
  t.equal(answer.status, 200)
  t.strictSame(answer.headers.getSetCookie().slice(0, 2), EXPIRED_VARIANTS)
  for (const token of tokens) {
    t.match((await alone(token)).body, { code: 'session_ended', reason: 'signed_in_again' })
  }
})

t.test('cookies of a single session cost no statement', async (t) => {
  const { refresh_token } = await server.login(account)
  let token = nextOf(await refresh([refresh_token]))
  const statements = statementsOf(t)
  const awaited = () => statements().filter((text) => !text.includes('jsonb_to_recordset'))
  for (let turn = 0; turn < 2; turn += 1) token = nextOf(await refresh([token]))
  t.strictSame(awaited(), [])
  token = nextOf(await refresh([token, refresh_token]))
  t.strictSame(awaited(), [], 'nor do two of one session')
})

t.test('a foreign page has none of the cookies read', async (t) => {
  const { refresh_token } = await server.login(account)
  const foreign = { cookie: cookieOf(NAME, [refresh_token, 'x']), origin: 'https://evil.example' }
  t.equal((await server.post('/auth/refresh', {}, { headers: foreign })).status, 403)
  t.equal((await server.post('/auth/logout', {}, { headers: foreign })).status, 403)
  t.equal((await refresh([refresh_token, 'x'])).status, 200)
})

t.test('a store that is unavailable loses none of several sessions', { skip }, async (t) => {
  const broken = await startServer(t, { env: HTTPS, proxies: true })
  const { postgres, redis } = broken.proxies
  const owner = await broken.createAccount()
  const older = (await broken.login(owner)).refresh_token
  const { refresh_token: first, session } = await broken.login(owner)
  const ask = (tokens: readonly string[]) =>
    broken.post('/auth/refresh', {}, { headers: { ...headersOf(tokens), 'idempotency-key': 'k' } })
  // After a refresh Redis knows the session, also if the sign-in could not tell it in time.
  const newer = nextOf(await broken.post('/auth/refresh', {}, { headers: headersOf([first]) }))

  postgres.cut()
  t.equal((await ask([older, newer])).status, 503)
  const single = await ask([newer])
  t.equal(single.status, 200, 'a single one needs only Redis')
  await postgres.heal()
  const tokens = [older, newer, nextOf(single)]
  let answer: Answer | undefined
  await eventually(async () => {
    answer = await broken.post('/auth/refresh', {}, { headers: headersOf(tokens) })
    return answer.status === 200
  })
  t.equal(answer?.body.session.id, session.id)

  const ended = (await broken.login(owner)).refresh_token
  await broken.post('/auth/logout', { refresh_token: ended })
  redis.cut()
  const onLedger = await broken.post(
    '/auth/refresh',
    {},
    { headers: headersOf([ended, nextOf(answer as Answer)]) },
  )
  t.equal(onLedger.status, 200)
  t.equal(onLedger.body.session.id, session.id)
})

// A browser with two places for the cookie. Both are sent, in any order, and the server fills one of them.
t.test('whatever old cookies a browser sends along, its person stays signed in', async (t) => {
  const step = fc.record({
    does: fc.constantFrom('refresh', 'refresh', 'refresh', 'sign in', 'sign in elsewhere', 'wait', 'lose'),
    keep: fc.boolean(),
    old: fc.nat({ max: 20 }),
    isOldFirst: fc.boolean(),
  })
  const property = fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
    const signIn = async (cookies: readonly string[]) => {
      const answer = await server.post('/auth/login', account, { headers: headersOf(cookies) })
      return { token: nextOf(answer), id: answer.body.session.id as string }
    }
    let { token, id } = await signIn([])
    const past = [token]
    // A client keeps the key of an attempt until its answer has arrived.
    let attempt = 0
    for (const { does, keep, old, isOldFirst } of steps) {
      const other = keep ? [past[old % past.length] as string] : []
      const sent = isOldFirst ? [...other, token] : [token, ...other]
      if (does === 'wait') await server.age(15_000)
      else if (does === 'sign in') ({ token, id } = await signIn(sent))
      else if (does === 'sign in elsewhere') ({ token, id } = await signIn([]))
      else {
        const answer = await refresh(sent, { 'idempotency-key': `${attempt}` })
        if (answer.status !== 200 || answer.body.session.id !== id) throw new Error(answer.text)
        if (does === 'refresh') {
          token = nextOf(answer)
          attempt += 1
        }
      }
      past.push(token)
    }
    const last = await refresh([...past.slice(0, -1), token], { 'idempotency-key': `${attempt}` })
    if (last.status !== 200 || last.body.session.id !== id) throw new Error(last.text)
  })
  await check(t, property, { numRuns: 25, endOnFailure: true })
})
