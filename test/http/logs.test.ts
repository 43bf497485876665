import t from 'tap'
import { startServer } from '../support/server.ts'

t.test('secrets never reach a log: canaries through every flow', async (t) => {
  const server = await startServer(t, { env: { LOG_LEVEL: 'trace' } })
  const email = server.freshEmail()
  const canaries = [
    'canary-password-one',
    'canary-password-two',
    'canary-wrong-password',
    'canary.jwt.token',
    'canary-form-token',
  ]
  const [first = '', second = '', wrong = '', jwt = '', formToken = ''] = canaries
  await server.post('/auth/register', { email, password: first })
  const verification = await server.lastToken(email)
  await server.call('GET', `/auth/verify-email?token=${verification}`)
  await server.post('/auth/verify-email', { token: verification })
  await server.call('POST', '/auth/verify-email', {
    body: `token=${formToken}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  await server.post('/auth/login', { email, password: wrong })
  await server.post('/auth/login', { email, password: [wrong] })
  await server.post('/auth/login', `{"email":"${email}","password":"${wrong}"`)
  const session = await server.login({ email, password: first })
  await server.call('GET', '/me', { bearer: jwt })
  await server.call('GET', `/me?access_token=${session.access_token}`)
  const next = await server.post(
    '/auth/refresh',
    { refresh_token: session.refresh_token },
    { headers: { 'idempotency-key': 'canary-attempt' } },
  )
  const cookie = await server.post('/auth/login', { email, password: first })
  const pair = (cookie.headers.getSetCookie()[0] as string).split(';')[0] as string
  await server.post('/auth/refresh', {}, { headers: { cookie: pair, origin: 'https://app.example.com' } })
  await server.post(
    '/auth/change-password',
    { current_password: first, new_password: second },
    { bearer: session.access_token },
  )
  await server.post('/auth/request-password-reset', { email })
  const reset = await server.lastToken(email)
  await server.call('GET', `/auth/reset-password?token=${reset}`)
  await server.db.$executeRaw`ALTER TABLE users RENAME TO users_away`
  t.equal((await server.post('/auth/login', { email, password: second })).status, 500)
  t.equal((await server.post('/auth/register', { email, password: second })).status, 500)
  await server.db.$executeRaw`ALTER TABLE users_away RENAME TO users`
  await server.post('/auth/reset-password', { token: reset, password: first })
  await server.call('GET', '/nowhere\u2028?x={"level":"fatal"}', {
    headers: { 'user-agent': 'x {"level":"fatal"}' },
  })

  const log = server.logs.join('')
  t.ok(server.logs.length > 15, 'and there is a log')
  const secrets = [
    ...canaries,
    'canary-attempt',
    verification,
    reset,
    session.access_token,
    session.refresh_token,
    next.body.refresh_token,
    pair.split('=')[1] as string,
  ]
  for (const secret of secrets) t.notOk(log.includes(secret), secret.slice(0, 12))
  for (const line of log.trim().split('\n')) t.ok(JSON.parse(line).level, 'one JSON object a line')
  const requests = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter((line) => line.msg === 'request')
  for (const line of requests) t.match(line.request_id, /^[0-9a-f-]{36}$/)
})

t.test('a dump of both stores holds nothing that works', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const session = await server.login(account)
  await server.post('/auth/request-password-reset', { email: account.email })
  const reset = await server.lastToken(account.email)
  const tables = ['users', 'sessions', 'one_time_tokens', 'outbox_messages', 'signing_keys', 'audit_events']
  let dump = ''
  for (const table of tables)
    dump += JSON.stringify(await server.db.$queryRawUnsafe(`SELECT ${table}::text AS row FROM ${table}`))
  for (const key of await server.redis.keys('rt:*')) dump += JSON.stringify(await server.redis.hgetall(key))
  const family = Buffer.from(session.refresh_token.slice(4), 'base64url').subarray(1, 17)
  for (const secret of [
    account.password,
    session.refresh_token,
    session.access_token,
    reset,
    family.toString('hex'),
    family.toString('base64url'),
    Buffer.from(reset).toString('hex'),
  ]) {
    t.notOk(dump.includes(secret))
  }
})
