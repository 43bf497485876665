import t from 'tap'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)

t.test('a person can list and end their own sessions, and nobody else can', async (t) => {
  const account = await server.createAccount()
  const stranger = await server.login(await server.createAccount())
  const [phone, laptop, tablet] = await Promise.all([
    server.login(account),
    server.login(account),
    server.login(account),
  ])
  const bearer = laptop.access_token
  const list = await server.call('GET', '/auth/sessions', { bearer })
  t.equal(list.headers.get('cache-control'), 'no-store')
  t.equal(list.body.sessions.length, 3)
  t.strictSame(
    list.body.sessions
      .filter((session: { current: boolean }) => session.current)
      .map((session: { id: string }) => session.id),
    [laptop.session.id],
  )

  const foreign = await server.call('DELETE', `/auth/sessions/${phone.session.id}`, {
    bearer: stranger.access_token,
  })
  t.equal(foreign.status, 404)
  for (const id of ['nonsense', `urn:uuid:${phone.session.id}`]) {
    t.equal((await server.call('DELETE', `/auth/sessions/${id}`, { bearer })).status, 400)
  }

  t.equal((await server.call('DELETE', `/auth/sessions/${phone.session.id}`, { bearer })).status, 204)
  t.match((await server.post('/auth/refresh', { refresh_token: phone.refresh_token })).body, {
    code: 'session_ended',
    reason: 'revoked',
  })
  t.equal((await server.call('GET', '/me', { bearer: phone.access_token })).status, 401)

  t.equal((await server.call('DELETE', '/auth/sessions', { bearer })).status, 204)
  t.equal((await server.call('GET', '/me', { bearer: tablet.access_token })).status, 401)
  t.equal((await server.call('GET', '/me', { bearer })).status, 200)

  const ended = await server.call('GET', '/auth/sessions?ended=true', { bearer })
  t.strictSame(
    ended.body.sessions.map((session: { ended_reason: string | null }) => session.ended_reason).sort(),
    [null, 'revoked', 'revoked'].sort(),
  )
  t.equal((await server.call('GET', '/auth/sessions?ended=yes', { bearer })).status, 400)

  t.equal((await server.call('POST', '/auth/logout-all', { bearer })).status, 204)
  t.equal((await server.call('GET', '/me', { bearer })).status, 401)
  t.equal((await server.call('GET', '/me', { bearer: stranger.access_token })).status, 200)
})

t.test('an expired session is listed for 30 days, with the time of its expiry', async (t) => {
  const account = await server.createAccount()
  const day = 86_400_000
  const now = Date.now()
  const session = async (idle: number, absolute: number, ended?: number) => {
    const { id } = (await server.login(account)).session
    const data = {
      idleExpiresAt: new Date(now + idle * day),
      absoluteExpiresAt: new Date(now + absolute * day),
      ...(ended === undefined ? {} : { endedAt: new Date(now + ended * day), endedReason: 'revoked' }),
    }
    await server.db.session.update({ where: { id }, data })
    return id
  }
  const { access_token: bearer, session: own } = await server.login(account)
  const [idle, absolute, short, ended, endedLate] = [
    await session(-2, 5),
    await session(5, -3),
    await session(9, 4),
    await session(-1, 5, -4),
    await session(-6, 5, -1),
  ]
  // No longer: it expired more than 30 days ago, whether or not it was ended since.
  await session(-31, 5)
  await session(-31, 5, -1)
  const list = async (query: string) => {
    const { body } = await server.call('GET', `/auth/sessions${query}`, { bearer })
    type Listed = { id: string; expires_at: string; ended_at: string | null; ended_reason: string | null }
    const told = body.sessions.map((row: Listed) => [
      row.id,
      [row.expires_at, row.ended_at, row.ended_reason],
    ])
    return Object.fromEntries(told)
  }
  const at = (days: number) => new Date(now + days * day).toISOString()
  const live = { [own.id]: [own.expires_at, null, null], [short]: [at(4), null, null] }
  t.strictSame(await list(''), live)
  t.strictSame(await list('?ended=true'), {
    ...live,
    [idle]: [at(-2), at(-2), 'expired'],
    [absolute]: [at(-3), at(-3), 'expired'],
    [ended]: [at(-1), at(-4), 'revoked'],
    [endedLate]: [at(-6), at(-6), 'expired'],
  })
})

t.test('logout accepts a superseded token, and one whose session has ended', async (t) => {
  const session = await server.login(await server.createAccount())
  const next = await server.post('/auth/refresh', { refresh_token: session.refresh_token })
  t.equal((await server.post('/auth/logout', { refresh_token: session.refresh_token })).status, 204)
  t.match((await server.post('/auth/refresh', { refresh_token: next.body.refresh_token })).body, {
    reason: 'logout',
  })
  t.equal((await server.post('/auth/logout', { refresh_token: session.refresh_token })).status, 204)
})

t.test('an ended session stays ended after a restart with an empty Redis', async (t) => {
  const session = await server.login(await server.createAccount())
  await server.call('POST', '/auth/logout', { bearer: session.access_token })
  await server.redis.flushdb()
  const restarted = await startServer(t, { databaseUrl: server.databaseUrl })
  t.equal((await restarted.call('GET', '/me', { bearer: session.access_token })).status, 401)
  t.match((await restarted.post('/auth/refresh', { refresh_token: session.refresh_token })).body, {
    reason: 'logout',
  })
})
