import t from 'tap'
import type { EndedReason } from '../../../src/core/reasons/reasons.ts'
import type { RefreshToken, RevocationScope } from '../../../src/core/sessions/sessions.ts'
import { atHome, beginClientSession } from '../../support/client-session.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const { services } = server.app
const { db, sessions, transact } = services
const context = { ip: '198.51.100.7', userAgent: undefined, requestId: 'request' }

const OFFLINE = 'openid offline_access'
const begin = async (parentId: string, options: Parameters<typeof beginClientSession>[2] = {}) => {
  const begun = await beginClientSession(services, parentId, options)
  if (!begun) throw new Error('the session did not begin')
  return begun
}
const reasonOf = async (id: string) => (await sessions.find(db, id))?.endedReason ?? null
const refresh = (refreshToken: string, presenter = atHome()) => {
  const token = sessions.parse(refreshToken)
  if (!token) throw new Error('not a token')
  return sessions.rotate(token, undefined, context, presenter)
}
const end = (scope: RevocationScope, reason: EndedReason) =>
  sessions.end(scope, reason, 'session_end', context)

/** A user with two own sessions; in the first, a client was allowed once with and once without offline access. */
async function allowed() {
  const account = await server.createAccount()
  const own = await server.login(account)
  const other = await server.login(account)
  const { userId } = (await sessions.find(db, own.session.id)) as { userId: string }
  const online = await begin(own.session.id)
  const offline = await begin(own.session.id, { scope: OFFLINE })
  const ofOther = await begin(other.session.id)
  return { account, own, other, userId, online, offline, ofOther }
}

t.test('what clients were allowed ends with the session, as far as its reason says', async (t) => {
  const ways: [string, (user: Awaited<ReturnType<typeof allowed>>) => Promise<unknown>, unknown[]][] = [
    [
      'a sign-out',
      ({ own }) => server.post('/auth/logout', { refresh_token: own.refresh_token }),
      ['logout', null, null],
    ],
    [
      'the list of sessions',
      ({ own, other }) =>
        server.call('DELETE', `/auth/sessions/${own.session.id}`, { bearer: other.access_token }),
      ['revoked', null, null],
    ],
    [
      'all others from the list',
      ({ other }) => server.call('DELETE', '/auth/sessions', { bearer: other.access_token }),
      ['revoked', null, null],
    ],
    [
      'another sign-in with the token',
      ({ own }) => sessions.endReplaced(sessions.readTokens([own.refresh_token]), context),
      ['signed_in_again', null, null],
    ],
    [
      'too many sessions',
      ({ userId }) => end({ userId, exceptLastUsed: 1, now: new Date() }, 'too_many_sessions'),
      ['too_many_sessions', null, null],
    ],
    [
      'a restored backup that cannot say whether it lives',
      ({ own }) =>
        end({ familyHashes: [sessions.parse(own.refresh_token)?.familyHash as string] }, 'backup_restored'),
      ['backup_restored', null, null],
    ],
    [
      'a reuse',
      async ({ own }) => {
        const { body } = await server.post('/auth/refresh', { refresh_token: own.refresh_token })
        await server.post('/auth/refresh', { refresh_token: body.refresh_token })
        await server.age(60_000)
        return server.post('/auth/refresh', { refresh_token: own.refresh_token })
      },
      ['reuse_detected', 'reuse_detected', null],
    ],
    [
      'a sign-out everywhere',
      ({ own }) => server.post('/auth/logout-all', undefined, { bearer: own.access_token }),
      ['logout_all', 'logout_all', 'logout_all'],
    ],
    [
      'a changed password',
      ({ other, account: { password } }) =>
        server.post(
          '/auth/change-password',
          { current_password: password, new_password: `${password} too` },
          { bearer: other.access_token },
        ),
      ['password_changed', 'password_changed', 'password_changed'],
    ],
    [
      'the withdrawal of a grant',
      ({ userId }) => end({ userId, clientId: 'app' }, 'revoked'),
      ['revoked', 'revoked', 'revoked'],
    ],
  ]
  for (const [name, act, expected] of ways) {
    const user = await allowed()
    await act(user)
    const { online, offline, ofOther } = user
    const reasons = await Promise.all([online, offline, ofOther].map(({ id }) => reasonOf(id)))
    t.strictSame(reasons, expected, name)
    for (const [index, { id, refreshToken }] of [online, offline, ofOther].entries()) {
      const isOver = expected[index] !== null
      t.match(
        await refresh(refreshToken),
        isOver ? { outcome: 'ended', reason: expected[index] } : { outcome: 'rotated' },
        `${name}: ${isOver ? 'no' : 'a'} refresh`,
      )
      t.equal(services.sessions.revocations.has({ sid: id, client_id: 'app', iat: 0 }), isOver)
    }
  }
})

t.test('a reuse that is found without Redis ends what clients were allowed, too', async (t) => {
  const { own, online, offline } = await allowed()
  const next = await server.post('/auth/refresh', { refresh_token: own.refresh_token })
  t.equal(next.status, 200)
  await server.post('/auth/refresh', { refresh_token: next.body.refresh_token })
  await server.age(60_000)
  services.redisBreaker.recordFailure(new Error('for this test'))
  const reused = await server.post('/auth/refresh', { refresh_token: own.refresh_token })
  t.notMatch(reused.status, 200)
  t.equal(await reasonOf(online.id), 'reuse_detected')
  t.equal(await reasonOf(offline.id), 'reuse_detected')
})

t.test('the end of a client ends its sessions for everybody, and no other', async (t) => {
  const [one, two] = [await allowed(), await allowed()]
  const byAnother = await begin(one.own.session.id, { clientId: 'another' })
  await end({ clientId: 'app' }, 'revoked')
  for (const { id } of [one.online, one.offline, two.ofOther]) t.equal(await reasonOf(id), 'revoked')
  for (const id of [byAnother.id, one.own.session.id, two.other.session.id]) t.equal(await reasonOf(id), null)

  await db.$executeRaw`
    INSERT INTO sessions (id, family_hash, user_id, client_id, resource, transport, scope, amr, rotated_at, auth_time,
      created_at, last_used_at, idle_expires_at, absolute_expires_at)
    SELECT gen_random_uuid(), sha256(n::text::bytea), user_id, 'many', '', transport, scope, amr, rotated_at, auth_time,
      created_at, last_used_at, idle_expires_at, absolute_expires_at
    FROM sessions, generate_series(1, 2100) AS n WHERE id = ${byAnother.id}::uuid`
  await end({ clientId: 'many' }, 'revoked')
  t.equal(await db.session.count({ where: { clientId: 'many', endedAt: null } }), 0, 'also more than at once')
})

t.test('sessions of clients are not among those of a person', async (t) => {
  const { account, own, other, userId } = await allowed()
  const now = new Date()
  const ids = (await sessions.list(db, userId, { now })).map(({ id }) => id)
  t.strictSame(new Set(ids), new Set([own.session.id, other.session.id]))
  t.equal((await sessions.summarize(db, userId, now)).live, 2)
  const { body } = await server.call('GET', '/auth/sessions', { bearer: own.access_token })
  t.equal(body.sessions.length, 2)
  const [count] = await db.$queryRaw<
    [{ live: number }]
  >`SELECT live_sessions(${userId}::uuid, ${now}, 100) AS live`
  t.equal(count.live, 2)

  // Ended for room: their own, never a client's that was used longer ago.
  await end({ userId, exceptLastUsed: 1, now: new Date() }, 'too_many_sessions')
  t.equal(await reasonOf(own.session.id), 'too_many_sessions')
  t.equal(await reasonOf(other.session.id), null)

  // A client's address is not a place that the person has signed in from.
  const mails = (await server.mailsTo(account.email)).length
  await db.session.updateMany({
    where: { userId, resource: { not: null } },
    data: { ip: '127.0.0.1', userAgent: 'new' },
  })
  await server.post('/auth/login', { ...account, transport: 'body' }, { headers: { 'user-agent': 'new' } })
  t.equal((await server.mailsTo(account.email)).length, mails + 1, 'the owner is told of the new place')
})

t.test(
  'a client has 20 live sessions for a user at most: the one that was used longest ago ends',
  async (t) => {
    const { userId, own, online, offline, ofOther } = await allowed()
    const another = await begin(own.session.id, { clientId: 'another' })
    const isFull = async (clientId: string) => {
      const grant = { parentId: own.session.id, resource: '', binding: '', home: '', absoluteExpiresAt: null }
      const begun = await sessions.begin(userId, {
        ...{ clientId, scope: 'openid', transport: 'body', amr: [], context, grant },
      })
      const [row] = await db.$queryRaw<[{ is_full: boolean }]>`SELECT ${begun.isFull} AS is_full`
      return row.is_full
    }
    while ((await db.session.count({ where: { userId, clientId: 'app' } })) < 19) await begin(own.session.id)
    t.equal(await isFull('app'), false, 'with 19')
    await begin(own.session.id)
    t.equal(await isFull('app'), true, 'with 20')
    t.equal(await isFull('another'), false)
    await refresh(online.refreshToken)
    await sessions.flush()
    await transact(async (tx) => {
      const user = await services.users.lock(tx, userId)
      if (user) await sessions.makeRoom(tx, user, context, 'app')
    })
    t.equal(await isFull('app'), false)
    t.equal(await reasonOf(offline.id), 'too_many_sessions', 'it was used longest ago')
    for (const id of [online.id, ofOther.id, another.id, own.session.id]) t.equal(await reasonOf(id), null)
  },
)

t.test('it begins only while the session in which it was allowed lives, and as that says', async (t) => {
  const { own } = await allowed()
  const parent = await sessions.find(db, own.session.id)
  const absoluteExpiresAt = Date.now() + 3_600_000
  const grant = { resource: 'https://api.example.com', binding: 'key', home: 'there', absoluteExpiresAt }
  const begun = await begin(own.session.id, { ...grant, authTime: 1_000 })
  t.match(begun.claims, { client_id: 'app', resource: 'https://api.example.com', auth_time: 1_000 })
  t.equal(begun.absoluteExpiresAt, absoluteExpiresAt)
  t.match(await sessions.find(db, begun.id), {
    ...{ userId: parent?.userId, parentId: own.session.id, clientId: 'app' },
    ...{ resource: 'https://api.example.com', binding: 'key', home: 'there' },
    absoluteExpiresAt: new Date(absoluteExpiresAt),
  })
  await server.post('/auth/logout', { refresh_token: own.refresh_token })
  t.equal(await beginClientSession(services, own.session.id), null)
})

t.test('a token works for its own client only, and not for the account', async (t) => {
  const { own, offline } = await allowed()
  const stored = () => server.redis.hgetall(`rt:{${sessions.parse(offline.refreshToken)?.familyHash}}`)
  t.match(await refresh(offline.refreshToken), { outcome: 'rotated' })
  const before = await stored()
  t.strictSame(await refresh(offline.refreshToken, atHome({ clientId: 'another' })), { outcome: 'foreign' })
  t.match((await server.post('/auth/refresh', { refresh_token: offline.refreshToken })).body, {
    code: 'refresh_token_invalid',
  })
  const cookie = { cookie: `ratchet-dev=${offline.refreshToken}`, origin: 'https://app.example.com' }
  t.equal((await server.call('GET', '/auth/session', { headers: cookie })).body?.session ?? null, null)
  t.strictSame(await refresh(own.refresh_token), { outcome: 'foreign' }, 'nor a person’s token for a client')
  const [token] = sessions.readTokens([offline.refreshToken])
  t.strictSame(await sessions.look(token as RefreshToken, context), { outcome: 'foreign' })
  t.strictSame(
    await sessions.look(token as RefreshToken, context, undefined, atHome({ clientId: 'another' })),
    { outcome: 'foreign' },
  )
  t.match(await sessions.look(token as RefreshToken, context, undefined, atHome()), { outcome: 'live' })
  await sessions.endReplaced([token as RefreshToken], context)
  t.strictSame(await stored(), before, 'and nothing changes')
  t.equal(await reasonOf(offline.id), null)
  t.equal((await server.post('/auth/refresh', { refresh_token: own.refresh_token })).status, 200)
})
