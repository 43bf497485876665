import t from 'tap'
import { statementsOf } from '../../support/costs.ts'
import { eventually } from '../../support/eventually.ts'
import { startServer, type TestServer, twenty } from '../../support/server.ts'

const MOST = 5
const env = { MAX_SESSIONS_PER_ACCOUNT: String(MOST) }
const server = await startServer(t, { env })

const live = async (email: string, on: TestServer = server) => {
  const now = new Date()
  return on.db.session.count({
    where: { user: { email }, endedAt: null, idleExpiresAt: { gt: now }, absoluteExpiresAt: { gt: now } },
  })
}
const refresh = (token: string, on: TestServer = server) => on.post('/auth/refresh', { refresh_token: token })
const inTurn = async <T>(count: number, task: () => Promise<T>): Promise<T[]> => {
  const results: T[] = []
  while (results.length < count) results.push(await task())
  return results
}

t.test(
  'beyond the limit the session that was used longest ago ends, and its owner can read why',
  async (t) => {
    const account = await server.createAccount()
    const sessions = await inTurn(MOST, () => server.login(account))
    const [first, second] = sessions as [(typeof sessions)[number], (typeof sessions)[number]]
    const used = (await refresh(first.refresh_token)).body
    await server.app.services.sessions.flush()
    const newest = await server.login(account)

    t.equal(await live(account.email), MOST)
    t.match((await refresh(second.refresh_token)).body, {
      code: 'session_ended',
      reason: 'too_many_sessions',
    })
    t.equal((await server.call('GET', '/me', { bearer: second.access_token })).status, 401)
    t.equal((await refresh(used.refresh_token)).status, 200, 'the one that was refreshed last goes on')
    const bearer = newest.access_token
    const { body } = await server.call('GET', '/auth/sessions?ended=true', { bearer })
    const ended = body.sessions.filter((session: { ended_at: unknown }) => session.ended_at)
    t.match(ended, [{ id: second.session.id, ended_reason: 'too_many_sessions' }])
    const activity = await server.call('GET', '/auth/activity', { bearer })
    const told = activity.body.events.filter(({ type }: { type: string }) => type === 'session_end')
    t.match(told, [{ outcome: 'success', reason: 'too_many_sessions', session_id: second.session.id }])
  },
)

t.test('20 parallel sign-ins over two nodes, each from a device of its own, keep to the limit', async (t) => {
  const other = await startServer(t, { env, databaseUrl: server.databaseUrl })
  for (const before of [0, MOST - 1, MOST]) {
    const account = await server.createAccount()
    await inTurn(before, () => server.login(account))
    const sessions = await twenty((index) => (index % 2 ? server : other).login(account))
    t.equal(await live(account.email), MOST, `with ${before} before`)
    const answers = await Promise.all(sessions.map((session) => refresh(session.refresh_token)))
    t.equal(answers.filter(({ status }) => status === 200).length, MOST)
    t.ok(
      answers.filter(({ status }) => status !== 200).every(({ body }) => body.reason === 'too_many_sessions'),
    )
    const events = await server.db.auditEvent.count({
      where: { type: 'session_end', reason: 'too_many_sessions', userId: await idOf(account.email) },
    })
    t.equal(events, before + 20 - MOST, 'each end is one event')
  }
  await other.close()
})

t.test('parallel sign-ins that remain below the limit end nothing', async (t) => {
  const large = await startServer(t, { env: { MAX_SESSIONS_PER_ACCOUNT: '20' } })
  const account = await large.createAccount()
  await twenty(() => large.login(account))
  t.equal(await live(account.email, large), 20)
  t.equal(await large.db.session.count({ where: { endedAt: { not: null } } }), 0)
})

t.test('ended and expired sessions do not count', async (t) => {
  const account = await server.createAccount()
  const sessions = await inTurn(MOST, () => server.login(account))
  const [first, second, ...others] = sessions as [(typeof sessions)[number], ...typeof sessions]
  await server.post('/auth/logout', { refresh_token: first.refresh_token })
  await server.db.session.updateMany({
    where: { id: second?.session.id ?? '' },
    data: { idleExpiresAt: new Date(Date.now() - 1_000) },
  })
  await inTurn(2, () => server.login(account))
  t.equal(await live(account.email), MOST)
  for (const { refresh_token } of others) t.equal((await refresh(refresh_token)).status, 200)
})

t.test('an account that has far too many comes down to the limit with its next sign-in', async (t) => {
  const account = await server.createAccount()
  const { session } = await server.login(account)
  const row = await server.db.session.findUniqueOrThrow({ where: { id: session.id } })
  const older = Array.from({ length: 3 * MOST }, (_, index) => ({
    ...row,
    id: crypto.randomUUID(),
    familyHash: crypto.getRandomValues(new Uint8Array(32)),
    lastUsedAt: new Date(Date.now() - (index + 1) * 60_000),
  }))
  await server.db.session.createMany({ data: older })
  await server.login(account)
  t.equal(await live(account.email), MOST)
  const left = await server.db.session.findMany({ where: { userId: row.userId, endedAt: null } })
  t.ok(left.some(({ id }) => id === session.id))
  t.ok(left.every(({ lastUsedAt }) => Date.now() - lastUsedAt.getTime() < (MOST - 1) * 60_000))
})

t.test('a limit of one leaves the newest; other accounts are not affected', async (t) => {
  const single = await startServer(t, { env: { MAX_SESSIONS_PER_ACCOUNT: '1' } })
  const [one, two] = [await single.createAccount(), await single.createAccount()]
  const bystander = await single.login(two)
  const [first, last] = [await single.login(one), await single.login(one)]
  t.match((await refresh(first.refresh_token, single)).body, { reason: 'too_many_sessions' })
  t.equal((await refresh(last.refresh_token, single)).status, 200)
  t.equal((await refresh(bystander.refresh_token, single)).status, 200)
})

t.test('while Redis is unavailable the sign-in succeeds, and the ended session is refused', async (t) => {
  const alone = await startServer(t, { env: { MAX_SESSIONS_PER_ACCOUNT: '1' }, proxies: true })
  const account = await alone.createAccount()
  const first = await alone.login(account)
  alone.proxies.redis.cut()
  await eventually(() => alone.app.services.redisBreaker.isOpen)
  const last = await alone.login(account)
  // The ledger decides once nothing that was sent to Redis can arrive late.
  await eventually(async () => (await refresh(first.refresh_token, alone)).status === 401)
  t.equal((await refresh(last.refresh_token, alone)).status, 200)
  t.match((await refresh(first.refresh_token, alone)).body, { reason: 'too_many_sessions' })
  await alone.proxies.redis.heal()
  await eventually(() => !alone.app.services.redisBreaker.isOpen)
  t.match((await refresh(first.refresh_token, alone)).body, { reason: 'too_many_sessions' })
})

t.test('below the limit a sign-in is still two statements', async (t) => {
  const account = await server.createAccount()
  const { device_token } = await server.login(account)
  for (const known of [undefined, device_token]) {
    const statements = statementsOf(t)
    await server.post('/auth/login', { ...account, transport: 'body', device_token: known })
    t.equal(statements().filter((text) => /guess_counters|INSERT INTO sessions/.test(text)).length, 2)
    t.equal(statements().filter((text) => /^(?:BEGIN|COMMIT)/.test(text)).length, 0)
  }
})

const idOf = async (email: string) => (await server.db.user.findUniqueOrThrow({ where: { email } })).id
