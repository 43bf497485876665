import t from 'tap'
import { createAuthenticator } from '../support/authenticator.ts'
import { addPasskey, answerPasskey } from '../support/passkeys.ts'
import { movableClock, startServer, type TestServer } from '../support/server.ts'
import { totpCode } from '../support/totp.ts'

t.test('no flow writes a secret to the log', async (t) => {
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
  await server.post('/auth/verify-email', { token: verification, password: first })
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
  await server.db.$executeRaw`ALTER TABLE users RENAME TO users_renamed`
  t.equal((await server.post('/auth/login', { email, password: second })).status, 500)
  t.equal((await server.post('/auth/register', { email, password: second })).status, 500)
  await server.db.$executeRaw`ALTER TABLE users_renamed RENAME TO users`
  await server.post('/auth/reset-password', { token: reset, password: first })
  await server.call('GET', '/nowhere\u2028?x={"level":"fatal"}', {
    headers: { 'user-agent': 'x {"level":"fatal"}' },
  })

  const log = server.logs.join('')
  t.ok(server.logs.length > 15, 'there is a log')
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

const TABLES = [
  'users',
  'sessions',
  'one_time_tokens',
  'used_tokens',
  'outbox_messages',
  'outbox_holds',
  'signing_keys',
  'audit_events',
  'totp_factors',
  'recovery_codes',
  'passkeys',
  'known_devices',
  'guess_counters',
  'spent_tickets',
]

/** All data in Postgres and Redis, as text. */
async function dumpOf(server: TestServer): Promise<string> {
  let dump = ''
  for (const table of TABLES)
    dump += JSON.stringify(await server.db.$queryRawUnsafe(`SELECT ${table}::text AS row FROM ${table}`))
  for (const key of await server.redis.keys('*')) {
    dump += key
    if ((await server.redis.type(key)) === 'hash') dump += JSON.stringify(await server.redis.hgetall(key))
    else if ((await server.redis.type(key)) === 'string') dump += await server.redis.get(key)
  }
  return dump
}

t.test(
  'no log, event or dump contains a secret of factors, devices or links, even if every call fails',
  async (t) => {
    const clock = movableClock()
    const server = await startServer(t, { env: { LOG_LEVEL: 'trace' }, clock })
    const { email, password } = await server.createAccount()
    const first = await server.login({ email, password })
    const bearer = first.access_token
    const key = createAuthenticator()
    const secrets: Record<string, string> = { password, device: first.device_token }

    const offer = (await server.post('/auth/passkeys/options', { password }, { bearer })).body
    secrets.registration = offer.challenge_token
    const { recovery_codes: codes = [] } = await addPasskey(server, password, bearer, key)
    const enrolled = await server.post('/auth/mfa/totp', { password, recovery_code: codes[0] }, { bearer })
    secrets.totp = enrolled.body.secret
    const code = totpCode(enrolled.body.secret, clock.now())
    const confirmed = (await server.post('/auth/mfa/totp/confirm', { code }, { bearer })).body
    const fresh: string[] = confirmed.recovery_codes
    for (const [index, each] of [...codes, ...fresh].entries()) secrets[`recovery code ${index}`] = each

    const cookie = await server.post('/auth/login', { email, password })
    secrets.ticket = cookie.body.mfa_token
    const signedIn = await server.post('/auth/login/mfa', {
      mfa_token: cookie.body.mfa_token,
      recovery_code: fresh[0],
    })
    for (const pair of signedIn.headers.getSetCookie())
      secrets[`cookie ${pair.slice(0, 14)}`] = pair.split(/[=;]/)[1] as string
    const ticket = (await server.post('/auth/login', { email, password })).body.mfa_token
    secrets['ticket with a passkey'] = ticket
    const answer = await answerPasskey(server, '/auth/login/passkey/options', key)
    secrets.challenge = answer.challenge_token
    secrets.signature = answer.credential.response.signature
    t.equal((await server.post('/auth/login/passkey', { ...answer, transport: 'body' })).status, 200)
    for (let turn = 0; turn < 11; turn += 1) {
      const device_token = turn % 2 ? secrets.device : 'canary-device'
      await server.post('/auth/login', { email, password: 'canary-guess', transport: 'body', device_token })
      await server.post('/auth/login/mfa', { mfa_token: ticket, recovery_code: 'canary-recovery' })
    }
    secrets.unlock = await server.lastToken(email)
    const moved = server.freshEmail()
    const change = { password, recovery_code: fresh[1], new_email: moved }
    t.equal((await server.post('/auth/change-email', change, { bearer })).status, 202)
    secrets['change of address'] = await server.lastToken(moved)
    Object.assign(secrets, {
      guess: 'canary-guess',
      recovery: 'canary-recovery',
      'made-up device': 'canary-device',
    })

    const dump = await dumpOf(server)
    for (const [name, secret] of Object.entries(secrets)) {
      t.ok(secret?.length > 7, name)
      for (const form of [secret, Buffer.from(secret).toString('hex'), secret.replaceAll('-', '')])
        t.notOk(dump.includes(form), `${name} is in no dump`)
    }

    // Failures of every kind: an error must not quote what was sent.
    const { id } = await server.db.passkey.findFirstOrThrow()
    const proof = { password, recovery_code: fresh[2] }
    const flows = [
      () => server.post('/auth/login', { email, password, transport: 'body', device_token: secrets.device }),
      () => server.post('/auth/login/mfa', { mfa_token: ticket, recovery_code: fresh[3] }),
      () =>
        server.post('/auth/login/mfa', {
          mfa_token: ticket,
          code: totpCode(secrets.totp ?? '', clock.now()),
        }),
      () => server.post('/auth/login/passkey', { ...answer, transport: 'body' }),
      () => server.post('/auth/passkeys/options', proof, { bearer }),
      () => server.post('/auth/mfa/recovery-codes', proof, { bearer }),
      () => server.call('DELETE', '/auth/mfa/totp', { bearer, body: proof }),
      () => server.call('DELETE', `/auth/passkeys/${id}`, { bearer, body: proof }),
      () => server.post('/auth/unlock', { token: secrets.unlock }),
      () => server.call('GET', `/auth/unlock?token=${secrets.unlock}`),
      () => server.post('/auth/confirm-email-change', { token: secrets['change of address'] }),
      () => server.post('/auth/change-email', { ...proof, new_email: moved }, { bearer }),
    ]
    await server.db.guessCounter.deleteMany()
    let faults = 0
    for (const table of TABLES.filter((each) => each !== 'signing_keys')) {
      await server.db.$executeRawUnsafe(`ALTER TABLE ${table} RENAME TO renamed`)
      for (const flow of flows) if ((await flow()).status === 500) faults += 1
      await server.db.$executeRawUnsafe(`ALTER TABLE renamed RENAME TO ${table}`)
    }
    t.ok(faults > 30, `${faults} faults`)
    const told = server.logs.join('') + JSON.stringify(await server.db.auditEvent.findMany())
    for (const [name, secret] of Object.entries(secrets))
      t.notOk(told.includes(secret), `${name} is in no log`)
    t.notOk(/otpauth:/.test(told))
  },
)

t.test('a dump of both stores contains no usable secret', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const session = await server.login(account)
  await server.post('/auth/request-password-reset', { email: account.email })
  const reset = await server.lastToken(account.email)
  const dump = await dumpOf(server)
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
