import t from 'tap'
import { startJavaScript } from '../../../src/dev/embedded/redis.ts'
import { statementsOf } from '../../support/costs.ts'
import { eventually } from '../../support/eventually.ts'
import { insist } from '../../support/failover.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)
const account = await server.createAccount()
const refresh = (refresh_token: string, headers: Record<string, string> = {}) =>
  server.post('/auth/refresh', { refresh_token }, { headers })

t.test('every refresh rotates, and the new tokens work', async (t) => {
  const session = await server.login(account)
  const first = await refresh(session.refresh_token)
  t.equal(first.status, 200)
  t.not(first.body.refresh_token, session.refresh_token)
  t.match(first.body, { token_type: 'Bearer', expires_in: 600, session: { id: session.session.id } })
  t.equal(first.headers.get('cache-control'), 'no-store')
  const second = await refresh(first.body.refresh_token)
  t.equal(second.status, 200)
  t.equal((await server.call('GET', '/me', { bearer: second.body.access_token })).status, 200)
})

t.test('50 parallel uses of one token yield a single successor', async (t) => {
  const session = await server.login(account)
  // On a busy machine some are answered with 503.
  const answers = await Promise.all(Array.from({ length: 50 }, () => insist(server, session.refresh_token)))
  const tokens = new Set(
    answers.filter((answer) => answer.status === 200).map((answer) => answer.body.refresh_token),
  )
  t.equal(tokens.size, 1)
  t.strictSame([...new Set(answers.map((answer) => answer.status))].sort(), [200, 409])
  t.equal((await refresh([...tokens][0])).status, 200, 'the session is still active')
})

t.test('after a lost answer the retry gets the same token', async (t) => {
  const session = await server.login(account)
  const lost = await refresh(session.refresh_token)
  const retried = await refresh(session.refresh_token)
  t.equal(retried.body.refresh_token, lost.body.refresh_token)
})

t.test('with an Idempotency-Key a retry is accepted for a day, even if Redis lost its data', async (t) => {
  const session = await server.login(account)
  const key = { 'idempotency-key': 'attempt-1' }
  const lost = await refresh(session.refresh_token, key)
  await server.age(3_600_000)
  t.equal((await refresh(session.refresh_token, key)).body.refresh_token, lost.body.refresh_token)
  await server.app.services.sessions.flush()
  await server.redis.flushdb()
  t.equal((await refresh(session.refresh_token, key)).body.refresh_token, lost.body.refresh_token)
  const other = await refresh(session.refresh_token, { 'idempotency-key': 'attempt-2' })
  t.match(other.body, { code: 'session_ended', reason: 'reuse_detected' })
})

t.test(
  'reuse after the grace window ends the session for everybody, and the owner is notified',
  async (t) => {
    const owner = await server.createAccount()
    const session = await server.login(owner)
    const next = await refresh(session.refresh_token)
    await server.age(11_000)
    const reuse = await refresh(session.refresh_token)
    t.equal(reuse.status, 401)
    t.match(reuse.body, { code: 'session_ended', reason: 'reuse_detected' })
    t.match((await refresh(next.body.refresh_token)).body, {
      code: 'session_ended',
      reason: 'reuse_detected',
    })
    t.equal((await server.call('GET', '/me', { bearer: next.body.access_token })).status, 401)
    const mails = await server.mailsTo(owner.email)
    t.equal(
      mails.filter((mail) => /token|session|sign/i.test(mail.subject) && !/Confirm/.test(mail.subject))
        .length,
      1,
    )
    await server.redis.flushdb()
    t.match(
      (await refresh(next.body.refresh_token)).body,
      { code: 'session_ended', reason: 'reuse_detected' },
      'also if Redis lost its data',
    )
    t.equal(
      await server.db.outboxMessage.count({
        where: { recipient: owner.email, topic: 'refresh_reuse_detected' },
      }),
      1,
    )
  },
)

t.test('a token two generations behind in the grace window is superseded, not reused', async (t) => {
  const session = await server.login(account)
  const second = await refresh(session.refresh_token)
  const third = await refresh(second.body.refresh_token)
  const straggler = await refresh(session.refresh_token)
  t.equal(straggler.status, 409)
  t.equal(straggler.body.code, 'refresh_superseded')
  t.equal(straggler.headers.get('set-cookie'), null)
  t.equal((await refresh(third.body.refresh_token)).status, 200)
})

t.test(
  'after Redis is emptied, the family is read from the ledger, even with unflushed writes',
  async (t) => {
    const session = await server.login(account)
    let token = session.refresh_token
    for (let round = 0; round < 3; round += 1) token = (await refresh(token)).body.refresh_token
    await server.redis.flushdb()
    const fastForwarded = await refresh(token)
    t.equal(fastForwarded.status, 200)
    t.equal(
      (await refresh(token)).body.refresh_token,
      fastForwarded.body.refresh_token,
      'a lost answer is repeated there too',
    )
    t.equal((await refresh(fastForwarded.body.refresh_token)).status, 200)
  },
)

t.test('a session has an idle expiry, and an absolute expiry that no refresh extends', async (t) => {
  const idle = await server.login(account)
  await server.age(15 * 86_400_000)
  t.match((await refresh(idle.refresh_token)).body, { code: 'session_ended', reason: 'expired' })

  const long = await server.login(account)
  let token = long.refresh_token
  for (let step = 0; step < 9; step += 1) {
    await server.age(9.9 * 86_400_000)
    const answer = await refresh(token)
    t.equal(answer.status, 200)
    token = answer.body.refresh_token
  }
  await server.age(2 * 86_400_000)
  t.match((await refresh(token)).body, { code: 'session_ended', reason: 'expired' })
})

t.test('a malformed token changes nothing and revokes nothing', async (t) => {
  const session = await server.login(account)
  const token = session.refresh_token
  const flipped = (at: number) => token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
  const forgeries = [
    '',
    'x',
    'rt1_',
    token.slice(0, -1),
    `${token}A`,
    `${token} `,
    token.toUpperCase(),
    flipped(4),
    flipped(10),
    flipped(28),
    flipped(50),
    flipped(74),
  ]
  for (const forgery of forgeries) {
    const answer = await refresh(forgery)
    t.equal(answer.status, 401, forgery)
    t.equal(answer.body.code, 'refresh_token_invalid')
  }
  t.equal((await refresh(token)).status, 200)
})

t.test('a logout wins over 20 concurrent refreshes', async (t) => {
  const session = await server.login(account)
  const [logout, ...answers] = await Promise.all([
    server.call('POST', '/auth/logout', { bearer: session.access_token }),
    ...(await Promise.all([twenty(async () => refresh(session.refresh_token))])).flat(),
  ])
  t.equal(logout.status, 204)
  for (const answer of answers) t.ok([200, 401, 409].includes(answer.status))
  const late = await Promise.all(
    answers.filter((answer) => answer.status === 200).map((answer) => refresh(answer.body.refresh_token)),
  )
  for (const answer of late) t.match(answer.body, { code: 'session_ended', reason: 'logout' })
})

t.test('no refresh waits for Postgres, not even the first after a sign-in', async (t) => {
  const session = await server.login(account)
  await eventually(() => server.knowsFamily(session.refresh_token))
  const statements = statementsOf(t)
  let token = session.refresh_token
  for (let turn = 0; turn < 3; turn += 1) {
    const answer = await refresh(token)
    t.equal(answer.status, 200)
    token = answer.body.refresh_token
  }
  // The write-behind writes them later, in a batch.
  const awaited = statements().filter((text) => !text.includes('jsonb_to_recordset'))
  t.strictSame(awaited, [])
})

t.test('a session that ends while its sign-in makes it warm stays ended', async (t) => {
  const outcomes = await twenty(async () => {
    const { refresh_token } = await server.login(account)
    // The merge may be on its way to Redis.
    const ended = await server.post('/auth/logout', { refresh_token })
    return [ended.status, (await refresh(refresh_token)).body.code]
  })
  for (const outcome of outcomes) t.strictSame(outcome, [204, 'session_ended'])
})

t.test('a Redis without a replication id is not trusted: the ledger rotates', async (t) => {
  const redis = await startJavaScript()
  t.teardown(() => redis.stop())
  const unnamed = await startServer(t, { env: { REDIS_URL: redis.url, REDIS_INCARNATION: '' } })
  const owner = await unnamed.createAccount()
  const session = await unnamed.login(owner)
  const ask = (token: string) => unnamed.post('/auth/refresh', { refresh_token: token })
  const first = await ask(session.refresh_token)
  const second = await ask(first.body.refresh_token)
  t.strictSame([first.status, second.status], [200, 200])
  const row = await unnamed.db.session.findUniqueOrThrow({ where: { id: session.session.id } })
  t.equal(row.generation, 2)
  await unnamed.age(20_000)
  t.match((await ask(session.refresh_token)).body, { code: 'session_ended', reason: 'reuse_detected' })
  t.match((await ask(second.body.refresh_token)).body, { code: 'session_ended', reason: 'reuse_detected' })
})

t.test('20 parallel uses of a stolen token are one reuse, with one event and one mail', async (t) => {
  const owner = await server.createAccount()
  const session = await server.login(owner)
  await refresh(session.refresh_token)
  await server.age(20_000)
  const answers = await twenty(() => refresh(session.refresh_token))
  for (const { body } of answers) t.match(body, { code: 'session_ended', reason: 'reuse_detected' })
  const where = { recipient: owner.email, topic: 'refresh_reuse_detected' }
  t.equal(await server.db.outboxMessage.count({ where }), 1)
})
