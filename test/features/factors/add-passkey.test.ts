import { randomUUID } from 'node:crypto'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import type { UserPrincipal } from '../../../src/core/principals/principals.ts'
import { type AddPasskeyUses, addPasskey as store } from '../../../src/features/factors/add-passkey.ts'
import { createAuthenticator, SYNCED } from '../../support/authenticator.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

async function setUp() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { sub } = JSON.parse(Buffer.from(bearer.split('.')[1] as string, 'base64url').toString())
  return { ...account, bearer, userId: sub as string }
}
const offer = (bearer: string, body: unknown) => server.post('/auth/passkeys/options', body, { bearer })
const add = (bearer: string, body: unknown) => server.post('/auth/passkeys', body, { bearer })
const list = async (bearer: string) => (await server.call('GET', '/auth/passkeys', { bearer })).body.passkeys

async function eventsOf(userId: string) {
  const events = await server.db.auditEvent.findMany({ where: { userId }, orderBy: { id: 'asc' } })
  return events
    .map(({ type, outcome, reason }) => [type, outcome, reason].filter(Boolean).join(' '))
    .filter((event) => /passkey|recovery/.test(event))
}

t.test('the first passkey is stored and listed, sends a mail, and creates recovery codes', async (t) => {
  const { email, password, bearer, userId } = await setUp()
  t.strictSame(await list(bearer), [])
  const offered = await offer(bearer, { password })
  t.equal(offered.status, 200, offered.text)
  t.equal(offered.headers.get('cache-control'), 'no-store')
  t.match(offered.body.options, {
    rp: { id: 'localhost', name: 'localhost' },
    user: { name: email, displayName: 'Ada' },
    attestation: 'none',
    authenticatorSelection: {
      residentKey: 'preferred',
      requireResidentKey: false,
      userVerification: 'preferred',
    },
    pubKeyCredParams: [
      { alg: -8, type: 'public-key' },
      { alg: -7, type: 'public-key' },
      { alg: -257, type: 'public-key' },
    ],
  })
  const { challenge_token, options } = offered.body
  const authenticator = createAuthenticator()
  const credential = authenticator.create(options, SYNCED)
  const added = await add(bearer, { challenge_token, credential, name: 'Ada’s 📱' })
  t.equal(added.status, 201, added.text)
  t.equal(added.headers.get('cache-control'), 'no-store')
  t.match(added.body.passkey, { name: 'Ada’s 📱', backed_up: true, last_used_at: null })
  t.equal(added.body.passkey.credential_id, authenticator.id)
  t.equal(added.body.recovery_codes.length, 10)
  t.strictSame(await list(bearer), [added.body.passkey])
  t.strictSame(await eventsOf(userId), ['passkey_add success', 'recovery_codes_create success'])
  const mails = await server.mailsTo(email)
  t.match(mails.at(-1)?.subject, /passkey was added/)
})

t.test('from then on a password alone does not sign in', async (t) => {
  const { email, password, bearer } = await setUp()
  await addPasskey(server, password, bearer, createAuthenticator())
  const answer = await server.post('/auth/login', { email, password, transport: 'body' })
  t.match(answer, { status: 401, body: { code: 'mfa_required', methods: ['passkey', 'recovery_code'] } })
})

t.test('adding a second passkey requires the first, and creates no codes', async (t) => {
  const { password, bearer, userId } = await setUp()
  const first = createAuthenticator()
  await addPasskey(server, password, bearer, first)
  const bare = await offer(bearer, { password })
  t.match(bare, { status: 401, body: { code: 'mfa_required', methods: ['passkey', 'recovery_code'] } })
  t.notOk(bare.body.mfa_token, 'no ticket for a sign-in')

  const passkey = await answerPasskey(server, '/auth/passkeys/challenge', first, { bearer })
  const offered = await offer(bearer, { password, passkey })
  t.equal(offered.status, 200, offered.text)
  t.match(offered.body.options.excludeCredentials, [{ id: first.id, type: 'public-key' }])
  t.match(await offer(bearer, { password, passkey }), { status: 401, body: { code: 'mfa_invalid' } }, 'used')
  const credential = createAuthenticator('RS256').create(offered.body.options)
  const added = await add(bearer, { challenge_token: offered.body.challenge_token, credential })
  t.equal(added.status, 201, added.text)
  t.equal(added.body.passkey.name, 'Passkey')
  t.notOk('recovery_codes' in added.body)
  t.equal((await list(bearer)).length, 2)
  t.equal((await eventsOf(userId)).at(-1), 'passkey_add success')
  t.ok((await eventsOf(userId)).includes('passkey_add failure wrong_factor'))
})

t.test('a wrong password gets no challenge', async (t) => {
  const { bearer, userId } = await setUp()
  const answer = await offer(bearer, { password: 'not this one, surely' })
  t.match(answer, { status: 401, body: { code: 'invalid_credentials' } })
  t.strictSame(await eventsOf(userId), ['passkey_add failure wrong_password'])
})

t.test('an answer works for the account that asked, for five minutes, once', async (t) => {
  const { password, bearer, userId } = await setUp()
  const stranger = await setUp()
  const { challenge_token, options } = (await offer(bearer, { password })).body
  const credential = createAuthenticator().create(options)
  const body = { challenge_token, credential }
  const refused = { status: 400, body: { code: 'passkey_invalid' } }
  t.match(await add(stranger.bearer, body), refused, 'of another account')
  t.match(await add(bearer, { ...body, challenge_token: `${challenge_token}A` }), refused)
  clock.advance(301_000)
  t.match(await add(bearer, body), refused, 'expired')
  clock.advance(-301_000)
  const answers = await twenty(() => add(bearer, body))
  t.equal(answers.filter(({ status }) => status === 201).length, 1)
  t.equal(answers.filter(({ status, body }) => status === 400 && body.code === 'passkey_invalid').length, 19)
  t.equal((await list(bearer)).length, 1)
  t.equal(await server.db.recoveryCode.count({ where: { userId } }), 10, 'one set of codes')
  t.ok((await eventsOf(userId)).includes('passkey_add failure passkey_invalid'))
  t.strictSame(await eventsOf(stranger.userId), ['passkey_add failure passkey_invalid'])
})

t.test('an app whose setup began before the passkey was added cannot be confirmed', async (t) => {
  const { password, bearer, userId } = await setUp()
  const { secret } = (await server.post('/auth/mfa/totp', { password }, { bearer })).body
  await addPasskey(server, password, bearer, createAuthenticator())
  const code = totpCode(secret, clock.now())
  t.equal((await server.post('/auth/mfa/totp/confirm', { code }, { bearer })).status, 404)
  t.equal(await server.db.totpFactor.count({ where: { userId } }), 0)
})

t.test('of two simultaneous first passkeys, one is the first and the other the second', async (t) => {
  const { password, bearer, userId } = await setUp()
  const bodies = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const { challenge_token, options } = (await offer(bearer, { password })).body
      return { challenge_token, credential: createAuthenticator().create(options) }
    }),
  )
  const answers = await Promise.all(bodies.map((body) => add(bearer, body)))
  t.strictSame(
    answers.map(({ status }) => status),
    [201, 201, 201, 201],
  )
  t.equal(answers.filter(({ body }) => 'recovery_codes' in body).length, 1)
  t.equal(await server.db.recoveryCode.count({ where: { userId } }), 10)
})

t.test('a credential of another account is refused', async (t) => {
  const [one, two] = [await setUp(), await setUp()]
  const authenticator = createAuthenticator()
  await addPasskey(server, one.password, one.bearer, authenticator)
  await t.rejects(addPasskey(server, two.password, two.bearer, authenticator), /passkey_invalid/)
  t.strictSame(await list(two.bearer), [])
  t.equal(await server.db.recoveryCode.count({ where: { userId: two.userId } }), 0, 'no codes either')
})

t.test('an account has at most twenty', async (t) => {
  const { password, bearer, userId } = await setUp()
  const authenticator = createAuthenticator()
  await addPasskey(server, password, bearer, authenticator)
  const row = await server.db.passkey.findFirstOrThrow({ where: { userId } })
  await server.db.passkey.createMany({
    data: Array.from({ length: 19 }, () => ({
      ...row,
      id: randomUUID(),
      credentialId: new Uint8Array(Buffer.from(randomUUID())),
    })),
  })
  const passkey = await answerPasskey(server, '/auth/passkeys/challenge', authenticator, { bearer })
  const answer = await offer(bearer, { password, passkey })
  t.match(answer, { status: 409, body: { code: 'too_many_passkeys' } })
  t.equal((await eventsOf(userId)).at(-1), 'passkey_add failure too_many_passkeys')
})

t.test('a deleted account cannot add a passkey', async (t) => {
  const { db, transact, users, factors } = server.app.services
  const user = { id: uuidv7(), email: 'gone@example.test', name: null, securityVersion: 1 }
  const { challengeToken, options } = await factors.passkeys.registrationOptions(db, user)
  const credential = createAuthenticator().create(options)
  // The use case finds no row when it locks the user.
  const uses = { db, transact, users, factors, events: { record: async () => {} } }
  const principal = { kind: 'user', userId: user.id, sessionId: uuidv7() }
  const adding = store(
    uses as unknown as AddPasskeyUses,
    principal as UserPrincipal,
    { challengeToken, credential, name: 'Passkey' },
    { requestId: 'test', ip: '192.0.2.1', userAgent: undefined },
  )
  await t.rejects(adding, { code: 'access_token_invalid' })
})

t.test('unknown members from a browser are accepted, unknown fields of our own are not', async (t) => {
  const { password, bearer } = await setUp()
  const { challenge_token, options } = (await offer(bearer, { password })).body
  const valid = createAuthenticator('RS256').create(options)
  const credential = {
    ...valid,
    authenticatorAttachment: 'cross-platform',
    clientExtensionResults: {
      credProps: { rk: true, authenticatorDisplayName: 'Key' },
      prf: { enabled: true },
    },
    another: [{ nested: true }],
    // With what Chromium's toJSON adds, and an RS256 key of 2048 bits as Windows Hello creates it.
    response: {
      ...valid.response,
      publicKey: 'A'.repeat(400),
      publicKeyAlgorithm: -257,
      authenticatorData: 'A'.repeat(600),
      transports: ['internal', 'of-the-future'],
    },
  }
  t.ok(JSON.stringify({ challenge_token, credential }).length < 4096, 'a quarter of the body limit')
  const body = { challenge_token, credential }
  const refused: [string, unknown][] = [
    ['an unknown field', { ...body, user_id: randomUUID() }],
    ['no ticket', { credential }],
    ['a ticket that is a list', { ...body, challenge_token: [challenge_token] }],
    ['a huge ticket', { ...body, challenge_token: 'A'.repeat(1025) }],
    ['no credential', { challenge_token }],
    ['credential null', { ...body, credential: null }],
    ['credential text', { ...body, credential: JSON.stringify(credential) }],
    ['another type', { ...body, credential: { ...credential, type: 'password' } }],
    ['no response', { ...body, credential: { ...credential, response: undefined } }],
    [
      'a number',
      { ...body, credential: { ...credential, response: { ...credential.response, attestationObject: 1 } } },
    ],
    ['huge id', { ...body, credential: { ...credential, id: 'A'.repeat(2049) } }],
    ['empty name', { ...body, name: '' }],
    ['long name', { ...body, name: 'x'.repeat(101) }],
    ['NUL in the name', { ...body, name: 'a\0b' }],
    ['line break in the name', { ...body, name: 'a\nb' }],
    ['lone surrogate in the name', JSON.stringify({ ...body, name: 'x' }).replace('"x"', '"\\ud800"')],
    ['name null', { ...body, name: null }],
    ['__proto__', JSON.stringify(body).replace('"id":', '"__proto__":{"a":1},"id":')],
    ['constructor', JSON.stringify(body).replace('"id":', '"constructor":{"prototype":{"a":1}},"id":')],
  ]
  for (const [name, sent] of refused) {
    t.match(await add(bearer, sent), { status: 400, body: { code: 'validation_failed' } }, name)
  }
  const padded = { ...body, credential: { ...credential, padding: 'A'.repeat(17_000) } }
  t.match(await add(bearer, padded), { status: 413, body: { code: 'body_too_large' } })
  const garbage = { ...credential, response: { ...credential.response, attestationObject: 'oWNmbXQ' } }
  t.match(await add(bearer, { ...body, credential: garbage }), {
    status: 400,
    body: { code: 'passkey_invalid' },
  })
  const cbor = Buffer.alloc(9_000, 0x81).toString('base64url')
  const deep = { ...credential, response: { ...credential.response, attestationObject: cbor } }
  t.match(await add(bearer, { ...body, credential: deep }), {
    status: 400,
    body: { code: 'passkey_invalid' },
  })
  t.equal((await add(bearer, body)).status, 201, 'the valid one is still accepted')
})

t.test('a browser that does not tell the transports sends null', async (t) => {
  const { password, bearer } = await setUp()
  const { challenge_token, options } = (await offer(bearer, { password })).body
  const credential = createAuthenticator().create(options, { transports: null })
  t.equal((await add(bearer, { challenge_token, credential })).status, 201)
})

t.test('a malformed proof is refused, and every call needs a bearer token', async (t) => {
  const { password, bearer } = await setUp()
  for (const body of [
    {},
    { password: null },
    { password: { contains: 'a' } },
    { password, extra: 1 },
    { password, passkey: {} },
    { password, passkey: { challenge_token: 'x', credential: [] } },
    { password, code: 123456 },
  ]) {
    t.match(
      await offer(bearer, body),
      { status: 400, body: { code: 'validation_failed' } },
      JSON.stringify(body),
    )
  }
  const calls: [string, string, unknown][] = [
    ['POST', '/auth/passkeys/options', { password }],
    ['POST', '/auth/passkeys', {}],
    ['GET', '/auth/passkeys', undefined],
    ['DELETE', `/auth/passkeys/${randomUUID()}`, { password }],
    ['POST', '/auth/passkeys/challenge', {}],
  ]
  for (const [method, path, body] of calls) {
    const answer = await server.call(method, path, body === undefined ? {} : { body })
    t.match(answer, { status: 401, body: { code: 'access_token_invalid' } }, `${method} ${path}`)
  }
})

t.test('no secret of a registration is logged or audited', async (t) => {
  const { password, bearer, userId } = await setUp()
  const { challenge_token, options } = (await offer(bearer, { password })).body
  const credential = createAuthenticator().create(options)
  const { recovery_codes: codes } = (await add(bearer, { challenge_token, credential })).body
  const events = JSON.stringify(await server.db.auditEvent.findMany({ where: { userId } }))
  for (const secret of [
    challenge_token,
    options.challenge,
    credential.response.attestationObject,
    ...codes,
  ]) {
    t.notOk(server.logs.some((line) => line.includes(secret)))
    t.notOk(events.includes(secret))
  }
})

t.test('what was begun with the old password ends with it', async (t) => {
  const { password, bearer, userId } = await setUp()
  const offered = await offer(bearer, { password })
  const enrolment = await server.post('/auth/mfa/totp', { password }, { bearer })
  t.equal(enrolment.status, 200)
  const change = { current_password: password, new_password: 'another passphrase of hers' }
  t.equal((await server.post('/auth/change-password', change, { bearer })).status, 204)
  const credential = createAuthenticator().create(offered.body.options)
  const answer = { challenge_token: offered.body.challenge_token, credential, name: 'Key' }
  t.match((await add(bearer, answer)).body, { code: 'passkey_invalid' })
  t.equal(await server.db.totpFactor.count({ where: { userId } }), 0)
  const code = totpCode(enrolment.body.secret, clock.now())
  t.not((await server.post('/auth/mfa/totp/confirm', { code }, { bearer })).status, 200)
})
