import type { Command } from 'ioredis'
import t from 'tap'
import { callsOf, statementsOf } from '../../support/costs.ts'
import { countEvents } from '../../support/events.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { insist } from '../../support/failover.ts'
import { startServer, type TestServer, twenty } from '../../support/server.ts'

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false

const refreshOn = (server: TestServer) => (token: string, key?: string) =>
  server.post('/auth/refresh', { refresh_token: token }, key ? { headers: { 'idempotency-key': key } } : {})

const readiness = async (server: TestServer) => (await server.call('GET', '/readyz')).body.status
const redisIsUnavailable = (server: TestServer) =>
  eventually(async () => (await readiness(server)) === 'degraded')
const isReady = (server: TestServer) => eventually(async () => (await readiness(server)) === 'ready')

for (const fault of ['cut', 'hang'] as const) {
  t.test(
    `Redis unavailable (${fault}): the ledger rotates instead, with the same answers`,
    { skip },
    async (t) => {
      const server = await startServer(t, { proxies: true, env: { RATE_LIMITS: 'true' } })
      const refresh = refreshOn(server)
      const account = await server.createAccount()
      const session = await server.login(account)
      const commands = callsOf(t, server.app.services.redis, 'sendCommand')
      const aboutFamilies = () =>
        commands.filter(([command]) => String((command as Command).args).includes('rt:{'))
      const warm = (await refresh(session.refresh_token)).body
      t.ok(aboutFamilies().length > 0)
      commands.length = 0
      server.proxies.redis[fault]()

      const first = await refresh(warm.refresh_token, 'k1')
      t.equal(first.status, 200, 'the very first refresh succeeds')
      t.ok(aboutFamilies().length <= 1, 'after one command that is not answered')
      commands.length = 0
      const again = await refresh(warm.refresh_token, 'k1')
      t.equal(again.body.refresh_token, first.body.refresh_token, 'a retry gets the same successor')
      t.equal(aboutFamilies().length, 0, 'no other request waits for Redis')
      t.equal(
        (await refresh(warm.refresh_token)).body.refresh_token,
        first.body.refresh_token,
        'in the grace window',
      )
      t.equal((await refresh(session.refresh_token)).status, 409, 'a superseded token')
      t.equal(
        (await server.post('/auth/login', { ...account, transport: 'body' })).status,
        200,
        'a sign-in succeeds',
      )
      t.equal((await server.call('GET', '/me', { bearer: warm.access_token })).status, 200)

      let { refresh_token: token } = first.body
      for (let turn = 0; turn < 5; turn += 1) {
        // On a busy machine some are answered with 503.
        const answers = await twenty(() => insist(server, token, `turn ${turn}`))
        const successors = new Set(answers.map((answer) => answer.body.refresh_token))
        t.equal(successors.size, 1, '20 parallel refreshes, one successor')
        token = answers[0]?.body.refresh_token
      }
      await server.proxies.redis.heal()
      await isReady(server)

      // The last generation that Redis knows is six behind: Redis must not treat it as current.
      t.equal(
        (await refresh(warm.refresh_token)).status,
        409,
        'a token superseded on the ledger stays superseded',
      )
      const back = await refresh(token)
      t.equal(back.status, 200)
      t.equal((await refresh(back.body.refresh_token)).status, 200, 'Redis rotates again')
    },
  )

  t.test(
    `Redis unavailable (${fault}): reuse is detected, and the owner is notified`,
    { skip },
    async (t) => {
      const server = await startServer(t, { proxies: true })
      const refresh = refreshOn(server)
      const account = await server.createAccount()
      const session = await server.login(account)
      const next = (await refresh(session.refresh_token)).body
      await server.age(20_000)
      server.proxies.redis[fault]()
      const ended = { code: 'session_ended', reason: 'reuse_detected' }
      t.equal((await refresh(session.refresh_token)).status, 503, 'other nodes may not know it yet')
      await eventually(async () => (await refresh(session.refresh_token)).status === 401)
      t.match((await refresh(session.refresh_token)).body, ended)
      t.match((await refresh(next.refresh_token)).body, ended)
      const mails = await server.mailsTo(account.email)
      t.equal(mails.filter(({ subject }) => /suspicious/.test(subject)).length, 1)
      await server.proxies.redis.heal()
      await isReady(server)
      t.match((await refresh(next.refresh_token)).body, ended, 'also once Redis is available again')
    },
  )

  t.test(
    `Redis unavailable (${fault}): a revocation takes effect at once, and reaches Redis later`,
    { skip },
    async (t) => {
      const server = await startServer(t, { proxies: true })
      const other = await startServer(t, { databaseUrl: server.databaseUrl })
      const refresh = refreshOn(server)
      const account = await server.createAccount()
      const [byToken, byBearer, deleted] = await Promise.all([
        server.login(account),
        server.login(account),
        server.login(await server.createAccount()),
      ])
      const warm = (await refresh(byToken.refresh_token)).body
      server.proxies.redis[fault]()

      const pending = [
        await server.post('/auth/logout', { refresh_token: warm.refresh_token }),
        await server.call('POST', '/auth/logout', { bearer: byBearer.access_token }),
        await server.call('DELETE', '/me', {
          bearer: deleted.access_token,
          body: { password: account.password },
        }),
      ]
      for (const answer of pending) {
        t.equal(answer.status, 503)
        t.equal(answer.body.code, 'revocation_pending')
        t.ok(Number(answer.headers.get('retry-after')) > 0)
      }
      await eventually(async () => (await refresh(warm.refresh_token)).status === 401)
      t.match((await refresh(warm.refresh_token)).body, { code: 'session_ended', reason: 'logout' })
      for (const { access_token: bearer } of [byToken, byBearer, deleted]) {
        t.equal((await server.call('GET', '/me', { bearer })).status, 401, 'this node refuses it at once')
        await eventually(async () => (await other.call('GET', '/me', { bearer })).status === 401)
      }
      await server.proxies.redis.heal()
      await eventually(
        async () =>
          (await server.db.session.count({ where: { tombstonedAt: null, endedAt: { not: null } } })) === 0,
      )
      t.match((await refreshOn(other)(warm.refresh_token)).body, { code: 'session_ended', reason: 'logout' })
      t.match((await refreshOn(other)(deleted.refresh_token)).body, {
        code: 'session_ended',
        reason: 'account_deleted',
      })
      t.equal((await server.post('/auth/logout', { refresh_token: warm.refresh_token })).status, 204)
      const logouts = { type: 'logout', outcome: 'success' }
      t.equal(
        await server.db.auditEvent.count({ where: logouts }),
        2,
        'each revocation is one event, however often it is requested',
      )
    },
  )

  t.test(
    `Postgres unavailable (${fault}): warm sessions continue, other calls fail and use up nothing`,
    { skip },
    async (t) => {
      const server = await startServer(t, { proxies: true })
      const refresh = refreshOn(server)
      const account = await server.createAccount()
      const [warm, cold] = [await server.login(account), await server.login(account)]
      await server.forgetFamily(cold.refresh_token)
      const statements = statementsOf(t)
      let token = (await refresh(warm.refresh_token)).body.refresh_token
      await server.app.services.sessions.flush()
      t.ok(statements().some((text) => text.includes('family_hash')))
      server.proxies.postgres[fault]()
      for (let turn = 0; turn < 5; turn += 1) {
        const answer = await refresh(token)
        t.equal(answer.status, 200)
        token = answer.body.refresh_token
      }
      const before = statements().length
      const first = await refresh(cold.refresh_token)
      const asked = statements().slice(before)
      t.ok(
        asked.filter((text) => text.includes('account.roles')).length <= 1,
        'the refresh waits for one statement',
      )
      const tried = statements().length
      const waiting = {
        'a cold refresh': first,
        'a sign-in': await server.post('/auth/login', { ...account, transport: 'body' }),
        'a sign-out': await server.post('/auth/logout', { refresh_token: cold.refresh_token }),
        'a reset': await server.post('/auth/request-password-reset', { email: account.email }),
      }
      t.equal(statements().length, tried, 'no other request waits for Postgres')
      for (const [name, answer] of Object.entries(waiting)) {
        t.equal(answer.status, 503, name)
        t.equal(answer.body.code, 'unavailable')
        t.ok(Number(answer.headers.get('retry-after')) > 0)
      }
      t.equal(await readiness(server), 'degraded', 'the node still receives traffic')
      await server.proxies.postgres.heal()
      await isReady(server)
      t.equal((await refresh(cold.refresh_token)).status, 200, 'nothing was used up')
      t.equal((await refresh(token)).status, 200)
    },
  )
}

t.test(
  'reuse while the ledger is unavailable is a 503, and still ends the session later',
  { skip },
  async (t) => {
    const server = await startServer(t, { proxies: true })
    const refresh = refreshOn(server)
    const owner = await server.createAccount()
    const session = await server.login(owner)
    const next = (await refresh(session.refresh_token)).body
    await server.age(20_000)
    server.proxies.postgres.cut()
    t.equal((await refresh(session.refresh_token)).status, 503)
    t.equal((await refresh(next.refresh_token)).status, 503, 'no token is issued')
    await server.proxies.postgres.heal()
    await isReady(server)
    const id = session.session.id
    await eventually(async () => {
      const found = await server.db.session.findUnique({ where: { id } })
      return found?.endedReason === 'reuse_detected'
    })
    await server.redis.flushdb()
    const ended = { code: 'session_ended', reason: 'reuse_detected' }
    t.match((await refresh(next.refresh_token)).body, ended)
    const where = { recipient: owner.email, topic: 'refresh_reuse_detected' }
    await eventually(async () => (await server.db.outboxMessage.count({ where })) === 1)
  },
)

t.test('events from a Postgres outage are written after it, each once', { skip }, async (t) => {
  const server = await startServer(t, { proxies: true })
  server.proxies.postgres.cut()
  await eventually(async () => (await readiness(server)) === 'degraded')
  for (let batch = 0; batch < 60; batch += 1) {
    const answers = await twenty(() => refreshOn(server)('nonsense'))
    for (const { status } of answers) if (status !== 401) t.fail(`answered ${status}`)
  }
  await server.proxies.postgres.heal()
  await eventually(async () => (await countEvents(server.db).catch(() => 0)) >= 1_200)
  t.equal(await countEvents(server.db), 1_200)
})

t.test(
  'both stores unavailable: 503, nothing is used up, nothing is accepted unchecked',
  { skip },
  async (t) => {
    const server = await startServer(t, { proxies: true })
    const other = await startServer(t, { databaseUrl: server.databaseUrl })
    const refresh = refreshOn(server)
    const account = await server.createAccount()
    const [kept, ended] = [await server.login(account), await server.login(account)]
    const { refresh_token: token } = (await refresh(kept.refresh_token)).body
    server.proxies.redis.hang()
    server.proxies.postgres.hang()
    t.equal((await other.call('POST', '/auth/logout', { bearer: ended.access_token })).status, 204)
    await becomes(
      t,
      async () => (await server.call('GET', '/me', { bearer: ended.access_token })).status === 503,
      'a node that cannot learn of revocations answers 503',
    )
    for (const path of ['/auth/refresh', '/auth/logout']) {
      const answer = await server.post(path, { refresh_token: token })
      t.equal(answer.status, 503, path)
      t.equal(answer.body.code, 'unavailable')
    }
    const byBearer = await server.call('POST', '/auth/logout', { bearer: kept.access_token })
    t.equal(byBearer.status, 503, 'the answer does not claim a logout')
    t.equal((await server.call('GET', '/.well-known/jwks.json')).status, 200)
    t.equal((await server.call('GET', '/healthz')).status, 200)
    t.equal(await readiness(server), 'not_ready')
    await Promise.all([server.proxies.redis.heal(), server.proxies.postgres.heal()])
    await isReady(server)
    t.equal((await refresh(token)).status, 200)
    t.equal((await server.call('GET', '/me', { bearer: ended.access_token })).status, 401)
  },
)

t.test(
  'a refresh is repeated after a lost answer of Redis, and leads to the same token',
  { skip },
  async (t) => {
    const server = await startServer(t, { proxies: true })
    const refresh = refreshOn(server)
    let { refresh_token: token } = await server.login(await server.createAccount())
    for (let turn = 0; turn < 10; turn += 1) {
      await isReady(server)
      const before = token
      server.proxies.redis.dropAnswers()
      const answer = await refresh(before, `turn ${turn}`)
      t.equal(answer.status, 200)
      await server.proxies.redis.heal()
      token = answer.body.refresh_token
      t.equal((await refresh(before, `turn ${turn}`)).body.refresh_token, token, 'the family did not fork')
    }
  },
)

t.test('a server that starts without Redis serves, and connects to it later', { skip }, async (t) => {
  const first = await startServer(t, { proxies: true })
  first.proxies.redis.cut()
  await redisIsUnavailable(first)
  const second = await startServer(t, {
    databaseUrl: first.databaseUrl,
    env: { REDIS_URL: first.proxies.redis.url },
  })
  const refresh = refreshOn(second)
  const { refresh_token: token } = await second.login(await first.createAccount())
  const next = await refresh(token)
  t.equal(next.status, 200)
  await first.proxies.redis.heal()
  await isReady(second)
  t.equal((await refresh(next.body.refresh_token)).status, 200)
})
