import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { statementsOf } from '../../support/costs.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { addEveryFactor, addTotp } from '../../support/factors.ts'
import { patiently } from '../../support/patiently.ts'
import { movableClock, startServer, type TestServer, twenty } from '../../support/server.ts'

const MINUTE = 60_000
const clock = movableClock()
const server = await startServer(t, { clock })
const exportOf = (bearer: string, proof: object = { password: server.password }, on: TestServer = server) =>
  on.post('/me/export', proof, { bearer })
const claimOf = (userId: string, on: TestServer = server) =>
  on.db.accountExport.findUnique({ where: { userId } })
const isOver = (userId: string, on: TestServer = server) =>
  eventually(async () => (await claimOf(userId, on))?.finishedAt !== null)

t.test('an export is a complete document, an event and a mail, and holds no secret', async (t) => {
  const person = await createPerson(server)
  const { secret, recoveryCodes } = await addEveryFactor(server, person, clock.now())
  const { bearer: adminBearer, id: adminId } = await createAdministrator(server)
  await server.call('POST', `/admin/users/${person.id}/reset-factors`, { bearer: adminBearer })
  await server.post('/auth/login', { email: person.email, password: 'a wrong guess' })
  await server.post('/auth/request-password-reset', { email: person.email })
  await server.mailsTo(person.email)
  const stranger = await createPerson(server)

  const proof = { password: server.password, recovery_code: recoveryCodes[1] }
  const answer = await exportOf(person.bearer, proof)
  t.equal(answer.status, 200, answer.text.slice(0, 300))
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.match(
    answer.headers.get('content-disposition'),
    /^attachment; filename="account-20\d\d-\d\d-\d\d\.json"$/,
  )
  t.match(answer.headers.get('content-type'), 'application/json')
  const { body } = answer
  t.equal(body.complete, true)
  t.match(body.account, { id: person.id, email: person.email, name: 'Ada', has_password: true, roles: [] })
  t.match(body.sessions, [{ id: person.session.id, ended_at: null }])
  t.equal(body.known_devices.length, 1)
  t.match(body.passkeys, [{ name: 'Passkey', last_used_at: null }])
  t.match(body.authenticator_app, { confirmed_at: /^20/, last_used_at: /^20/ })
  t.equal(body.recovery_codes.left, 8)
  t.match(body.factors_reset, { effective_at: /^20/ })
  t.equal(body.mail_suppression, null)
  t.strictSame(body.pending_links.map(({ purpose }: { purpose: string }) => purpose).sort(), [
    'keep_factors',
    'reset_password',
  ])
  const counts = body.failed_guesses.map((count: Record<string, unknown>) =>
    [count.what, count.counted_by, count.failures].join(' '),
  )
  t.strictSame(counts.sort(), ['password account 1', 'password network_address 1'])
  const topics = body.mails.map(
    ({ topic, status }: { topic: string; status: string }) => `${topic} ${status}`,
  )
  for (const topic of ['reset_password', 'factors_reset_requested', 'factor_changed']) {
    t.ok(topics.includes(`${topic} sent`), topic)
  }
  const reset = body.events.find(({ type }: { type: string }) => type === 'factors_reset_request')
  t.match(reset, { by: 'administrator', ip: null, user_agent: null, request_id: null })

  const user = await server.db.user.findUniqueOrThrow({ where: { id: person.id } })
  const session = await server.db.session.findUniqueOrThrow({ where: { id: person.session.id } })
  const device = await server.db.knownDevice.findFirstOrThrow({ where: { userId: person.id } })
  const hashes = [session.familyHash, device.deviceHash].flatMap((bytes) => {
    const buffer = Buffer.from(bytes)
    return [buffer.toString('hex'), buffer.toString('base64url'), buffer.toString('base64')]
  })
  const links = (await server.mailsTo(person.email)).flatMap(({ text }) => text.match(/token=[\w-]+/g) ?? [])
  t.ok(links.length > 1)
  const tokens = links.map((link) => link.slice('token='.length))
  for (const kept of [
    user.passwordHash as string,
    secret,
    person.refresh_token,
    ...recoveryCodes,
    ...hashes,
    ...tokens,
  ]) {
    t.notOk(answer.text.includes(kept), 'no secret')
  }
  for (const other of [adminId, stranger.id, stranger.email])
    t.notOk(answer.text.includes(other), 'nobody else')

  const events = { type: 'account_export', userId: person.id }
  t.match(await server.db.auditEvent.findMany({ where: events }), [
    { outcome: 'success', reason: null, sessionId: person.session.id, actor: null },
  ])
  const told = (await server.mailsTo(person.email)).filter(({ subject }) =>
    /data .* was exported/.test(subject),
  )
  t.equal(told.length, 1)
})

t.test('it works once an hour for each account, whatever becomes of Redis', async (t) => {
  const person = await createPerson(server)
  const answers = await twenty(() => patiently(() => exportOf(person.bearer)))
  t.strictSame(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(429)])
  for (const { status, body } of answers) {
    if (status === 429) t.match(body, { code: 'too_many_attempts', reason: 'rate_limited' })
  }
  await isOver(person.id)
  await server.redis.flushdb()
  const { bearer } = { bearer: (await server.login(person.account)).access_token }
  for (const refused of [await exportOf(bearer), await server.call('GET', '/me/export', { bearer })]) {
    t.equal(refused.status, 429)
    const wait = Number(refused.headers.get('retry-after'))
    t.ok(wait > 3_000 && wait <= 3_600, `${wait} seconds`)
  }
  t.equal(
    (await exportOf((await createPerson(server)).bearer)).status,
    200,
    'another account has its own hour',
  )
  t.equal(await server.db.auditEvent.count({ where: { type: 'account_export', userId: person.id } }), 1)
  clock.advance(60 * MINUTE)
  t.equal((await exportOf((await server.login(person.account)).access_token)).status, 200)
})

t.test('a wrong proof costs nothing of it, and a refusal uses up no factor', async (t) => {
  const person = await createPerson(server)
  const { recoveryCodes } = await addTotp(server, person, clock.now())
  const { bearer } = person
  const { password } = server
  t.match((await exportOf(bearer, {})).body, { code: 'validation_failed' })
  t.match((await exportOf(bearer, { password: 'no idea' })).body, { code: 'invalid_credentials' })
  t.match((await exportOf(bearer, { password })).body, {
    code: 'mfa_required',
    methods: ['totp', 'recovery_code'],
  })
  t.match((await exportOf(bearer, { password, code: '000000' })).body, { code: 'mfa_invalid' })
  t.match((await server.post('/me/export', { password })).body, { code: 'access_token_invalid' })
  t.equal(await claimOf(person.id), null)
  t.equal((await exportOf(bearer, { password, recovery_code: recoveryCodes[0] })).status, 200)
  t.equal((await exportOf(bearer, { password, recovery_code: recoveryCodes[1] })).status, 429)
  t.equal(await server.db.recoveryCode.count({ where: { userId: person.id } }), 9)
  const events = await server.db.auditEvent.findMany({
    where: { type: 'account_export', userId: person.id },
    orderBy: { at: 'asc' },
  })
  t.match(events, [
    { outcome: 'failure', reason: 'wrong_password' },
    { outcome: 'failure', reason: 'wrong_factor' },
    { outcome: 'success' },
  ])
})

t.test('GET asks for a recent sign-in with everything that the account has', async (t) => {
  const person = await createPerson(server)
  const get = (bearer: string) => server.call('GET', '/me/export', { bearer })
  clock.advance(6 * MINUTE)
  const old = await get(person.bearer)
  t.match(old.body, { status: 401, code: 'insufficient_user_authentication', max_age: 300 })
  t.match(
    old.headers.get('www-authenticate'),
    /^Bearer realm="ratchet", error="insufficient_user_authentication", max_age="300", resource_metadata=/,
  )
  t.equal(await claimOf(person.id), null, 'a refusal costs nothing')

  const fresh = await server.login(person.account)
  const { recoveryCodes } = await addTotp(server, { ...person, bearer: fresh.access_token }, clock.now())
  t.match(
    (await get(fresh.access_token)).body,
    { code: 'insufficient_user_authentication' },
    'without the factor',
  )
  const { mfa_token } = (await server.post('/auth/login', { ...person.account, transport: 'body' })).body
  const second = await server.post('/auth/login/mfa', { mfa_token, recovery_code: recoveryCodes[0] })
  const bearer = second.body.access_token

  const head = await server.call('HEAD', '/me/export', { bearer })
  t.equal(head.status, 200)
  t.match(head.headers.get('content-disposition'), /^attachment/)
  t.equal(await claimOf(person.id), null, 'HEAD exports nothing')
  const answer = await get(bearer)
  t.equal(answer.status, 200)
  t.match(answer.body, { complete: true, account: { email: person.email } })
})

t.test('mails of an earlier owner of the address are not exported', async (t) => {
  const earlier = await createPerson(server)
  await server.call('DELETE', '/me', { bearer: earlier.bearer, body: { password: server.password } })
  await server.mailsTo(earlier.email)
  clock.advance(1_000)
  await server.createAccount(earlier.email)
  const { access_token } = await server.login({ email: earlier.email, password: server.password })
  const { body } = await exportOf(access_token)
  t.strictSame(
    body.mails.map(({ topic }: { topic: string }) => topic),
    ['account_exported'],
  )
})

/** Begins an export and reads nothing of its document. */
async function beginReading(on: TestServer, bearer: string): Promise<IncomingMessage> {
  const call = request(`${on.url}/me/export`, { headers: { authorization: `Bearer ${bearer}` } })
  call.end()
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  if (answer.statusCode !== 200) throw new Error(await text(answer))
  answer.on('error', () => {})
  return answer
}

/** Gives an account more events than the buffers between the server and its client can hold. */
async function plantEvents(on: TestServer, userId: string, count = 50_000): Promise<void> {
  // Without the time limit of the server's own connections.
  const client = new pg.Client({ connectionString: on.databaseUrl })
  await client.connect()
  const insert = `INSERT INTO audit_events (id, at, type, outcome, user_id, ip, user_agent, request_id)
    SELECT gen_random_uuid(), now() - (n % 5000) * interval '1 second', 'login', 'success', $1::uuid, '192.0.2.1',
      repeat('x', 250), repeat('y', 250) FROM generate_series(1, $2::int) AS n`
  await client.query(insert, [userId, count])
  await client.end()
}

t.test(
  'a large account is read in pages as its client takes them, and no connection waits for it',
  async (t) => {
    const person = await createPerson(server)
    await plantEvents(server, person.id, 100_000)
    const statements = statementsOf(t)
    const pagesRead = () => statements().filter((sql) => /SELECT .*audit_events.*LIMIT/s.test(sql)).length
    const answer = await beginReading(server, person.bearer)
    let before = -1
    let still = 0
    await eventually(() => {
      still = pagesRead() === before ? still + 1 : 0
      before = pagesRead()
      return before > 0 && still > 25
    })
    t.ok(before < 150, `${before} of 200 pages are read while the client reads nothing`)
    const openTransactions = async () => {
      const [row] = await server.db.$queryRaw<{ count: number }[]>`
        SELECT count(*)::int FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'`
      return row?.count
    }
    await becomes(t, async () => (await openTransactions()) === 0, 'no transaction waits')
    t.match((await exportOf(person.bearer)).body, { code: 'too_many_attempts' }, 'one at a time')

    const document = JSON.parse(await text(answer))
    t.equal(document.complete, true)
    const ids = document.events.map(({ id }: { id: string }) => id)
    t.ok(ids.length > 100_000)
    t.equal(new Set(ids).size, ids.length, 'each once')
    t.equal(await server.db.auditEvent.count({ where: { userId: person.id } }), ids.length, 'and all of them')
  },
)

t.test('what the client breaks off does not count', async (t) => {
  const person = await createPerson(server)
  await plantEvents(server, person.id)
  const answer = await beginReading(server, person.bearer)
  answer.destroy()
  await eventually(async () => (await claimOf(person.id)) === null)
  t.equal((await exportOf(person.bearer)).status, 200)
})

t.test('an export ends with its session, and does not look complete', async (t) => {
  const person = await createPerson(server)
  await plantEvents(server, person.id)
  const answer = await beginReading(server, person.bearer)
  await server.post('/auth/logout', { refresh_token: person.refresh_token })
  await t.rejects(text(answer), { code: 'ECONNRESET' })
  await eventually(async () => (await claimOf(person.id)) === null)
})

t.test('a store that fails in the middle cuts the document off, and that does not count', async (t) => {
  const cut = await startServer(t, { proxies: true })
  const person = await createPerson(cut)
  await plantEvents(cut, person.id)
  const answer = await beginReading(cut, person.bearer)
  let received = ''
  answer.setEncoding('utf8')
  cut.proxies.postgres.cut()
  await t.rejects(
    (async () => {
      for await (const part of answer) received += part
    })(),
    { code: 'ECONNRESET' },
  )
  t.ok(received.length > 0)
  t.throws(() => JSON.parse(received), 'half a document is no document')
  await cut.proxies.postgres.heal()
  await eventually(async () => (await cut.call('GET', '/readyz')).body.status === 'ready')
  await eventually(
    async () => (await exportOf(person.bearer, { password: server.password }, cut)).status === 200,
  )
})

t.test('a store that fails at the start is a 503', async (t) => {
  const cut = await startServer(t, { proxies: true })
  const person = await createPerson(cut)
  cut.proxies.postgres.cut()
  t.match((await exportOf(person.bearer, { password: server.password }, cut)).body, { status: 503 })
})

t.test('if the node of an export is killed, the next one waits a quarter of an hour at most', async (t) => {
  const person = await createPerson(server)
  const now = clock.now()
  await server.db.accountExport.create({
    data: {
      userId: person.id,
      exportId: person.id,
      startedAt: new Date(now),
      availableAt: new Date(now + 15 * MINUTE),
    },
  })
  const refused = await exportOf(person.bearer)
  t.equal(refused.status, 429)
  t.equal(refused.headers.get('retry-after'), '10', 'nobody knows when it ends')
  clock.advance(15 * MINUTE)
  t.equal((await exportOf((await server.login(person.account)).access_token)).status, 200)
})
