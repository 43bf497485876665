import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose'
import * as openid from 'openid-client'
import t from 'tap'
import { addSecret, deleteClient, endOldSecrets, setDisabled } from '../../../src/core/clients/clients.ts'
import { eventually } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { patiently } from '../../support/patiently.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'
const { db, transact, resource, client } = registrations(server)
const api = await resource('read')
const grant_type = 'client_credentials'
const robot = await client({ [api]: 'read' })
const token = (parameters: Record<string, string> = {}, who?: { id: string; secret: string }) =>
  post(server, '/oauth/token', { grant_type, ...parameters }, who)

t.test('a wrong, missing or doubled proof is refused, and nothing is issued', async (t) => {
  const { id: client_id, secret: client_secret } = robot
  t.equal((await token({}, robot)).status, 200)
  t.equal((await token({ client_id, client_secret })).status, 200)
  for (const [answer, error] of [
    [await token({}, { ...robot, secret: `${client_secret}x` }), 'invalid_client'],
    [await token({}, { ...robot, secret: '' }), 'invalid_client'],
    [await token({}, { id: 'client_nobody', secret: client_secret }), 'invalid_client'],
    [await token({ client_id, client_secret: 'x' }), 'invalid_client'],
    [await token({ client_id }), 'invalid_client'],
    [await token(), 'invalid_client'],
    [await token({ client_secret }), 'invalid_client'],
    [await token({ client_id: 'first-party' }), 'invalid_client'],
    [await token({ client_id, client_secret }, robot), 'invalid_request'],
    [await token({ client_id: 'other' }, robot), 'invalid_request'],
    [await token({ client_id, client_secret, client_assertion: 'a.b.c' }), 'invalid_request'],
    [await token({ client_id, client_assertion: 'a.b.c', client_assertion_type: 'x' }), 'invalid_request'],
  ] as const) {
    t.equal(answer.body.error, error)
    t.equal(answer.status, error === 'invalid_client' ? 401 : 400)
    t.notOk('access_token' in answer.body)
  }
  const basic = await token({}, { ...robot, secret: 'x' })
  t.match(basic.headers.get('www-authenticate'), /^Basic /, 'as the client has asked (RFC 6749 §5.2)')
  t.equal((await token({ client_id, client_secret: 'x' })).headers.get('www-authenticate'), null)
  for (const authorization of [
    'Basic',
    'Basic !!!',
    'Basic Og==',
    'Bearer x',
    `Basic ${'A'.repeat(9_000)}`,
  ]) {
    const body = new URLSearchParams({ grant_type }).toString()
    const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }
    t.match(await server.call('POST', '/oauth/token', { body, headers }), {
      status: 401,
      body: { error: 'invalid_client' },
    })
  }
})

t.test('two secrets work beside each other, a third ends the first, and old ones can be ended', async (t) => {
  const own = await client({ [api]: 'read' })
  const works = async (secret: string) => (await token({}, { ...own, secret })).status === 200
  const add = async () => (await transact((tx) => addSecret(tx, new Date(), own.id))) as string
  const second = await add()
  await eventually(() => works(second))
  t.ok(await works(own.secret))
  const third = await add()
  await eventually(() => works(third))
  t.ok(await works(second))
  t.notOk(await works(own.secret))
  await transact((tx) => endOldSecrets(tx, own.id))
  await eventually(async () => !(await works(second)))
  t.ok(await works(third))
})

/** A client with a key pair, and assertions that it signs. */
async function withKey(alg = 'ES256') {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k' }] }
  const { id } = await client({ [api]: 'read' }, { authMethod: 'private_key_jwt', jwks })
  const now = () => Math.floor(Date.now() / 1000)
  const sign = (claims: object = {}, key = privateKey) =>
    new SignJWT({ iss: id, sub: id, aud: issuer, jti: randomUUID(), iat: now(), exp: now() + 60, ...claims })
      .setProtectedHeader({ alg, kid: 'k' })
      .sign(key)
  const send = (client_assertion: string, parameters: Record<string, string> = {}) =>
    token({
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
      ...parameters,
    })
  return { id, privateKey, sign, send, now }
}

t.test('a signed assertion works once, in 20 at once too', async (t) => {
  const { id, sign, send } = await withKey()
  const assertion = await sign()
  const answers = await Promise.all(Array.from({ length: 20 }, () => patiently(() => send(assertion))))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ body }) => body.error === 'invalid_client').length, 19)
  t.equal((await send(await sign({ aud: `${issuer}/oauth/token` }), { client_id: id })).status, 200)
  await server.redis.flushdb()
  t.equal((await send(assertion)).status, 401, 'an emptied Redis forgets nothing of this')
})

t.test('openid-client signs one that works', async (t) => {
  const { id, privateKey } = await withKey('EdDSA')
  const toServer = (url: string, options?: object) => fetch(url.replace(issuer, server.url), options)
  const config = await openid.discovery(new URL(issuer), id, undefined, openid.PrivateKeyJwt(privateKey), {
    execute: [openid.allowInsecureRequests],
    [openid.customFetch]: toServer,
    algorithm: 'oauth2',
  })
  t.match(await openid.clientCredentialsGrant(config), { scope: 'read' })
})

t.test('an assertion that is not exactly right is refused', async (t) => {
  const { id, sign, send, now, privateKey } = await withKey()
  const stranger = await withKey()
  for (const [assertion, parameters] of [
    [await sign({ aud: 'https://other.example.com' }), {}],
    [await sign({ iss: stranger.id }), {}],
    [await sign({ sub: stranger.id }), {}],
    [await sign({}, stranger.privateKey), {}],
    [await sign({ exp: now() - 120 }), {}],
    [await sign({ exp: now() + 86_400 }), {}],
    [await sign({ iat: now() + 3_600 }), {}],
    [await sign({ exp: undefined }), {}],
    [await sign({ jti: undefined }), {}],
    [await sign({ jti: 7 }), {}],
    [await sign({ jti: '' }), {}],
    [await sign(), { client_id: stranger.id }],
    [await sign(), { client_id: robot.id }],
    ['a.b.c', {}],
    ['', { client_id: id }],
    [`${(await sign()).split('.').slice(0, 2).join('.')}.`, {}],
    [
      await new SignJWT({ iss: robot.id, sub: robot.id, aud: issuer, jti: 'x', exp: now() + 60 })
        .setProtectedHeader({ alg: 'ES256' })
        .sign(privateKey),
      {},
    ],
  ] as const) {
    const answer = await send(assertion, parameters)
    t.match(answer, { status: 401, body: { error: 'invalid_client' } }, assertion.slice(0, 40))
  }
  t.equal((await token({}, { id, secret: '' })).status, 401, 'another method than its own')
})

t.test('an id with characters that no id has is an unknown client, not a server error', async (t) => {
  const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
  for (const id of ['\0', 'client_\0', 'a\nb', 'é', '\ufffe', 'x'.repeat(3_000)]) {
    const claimed = Buffer.from(JSON.stringify({ sub: id })).toString('base64url')
    for (const parameters of [
      { client_id: id },
      { client_id: id, client_secret: 'x' },
      { client_assertion: `e30.${claimed}.AA`, client_assertion_type: type },
    ])
      t.match(await token(parameters as Record<string, string>), {
        status: 401,
        body: { error: 'invalid_client' },
      })
    t.equal((await token({}, { id: encodeURIComponent(id), secret: 'x' })).status, 401)
  }
})

t.test('a key that cannot be used proves nothing', async (t) => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  const keys = [
    { ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak' },
    { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'broken' },
    { kty: 'EC', crv: 'P-256', kid: 'empty' },
  ]
  const options = { authMethod: 'private_key_jwt', jwks: { keys } as JSONWebKeySet } as const
  const { id } = await client({ [api]: 'read' }, options)
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(Date.now() / 1000) + 60
  for (const [alg, kid] of [
    ['RS256', 'weak'],
    ['PS256', 'weak'],
    ['ES256', 'broken'],
    ['ES256', 'empty'],
  ]) {
    const claims = { iss: id, sub: id, aud: issuer, exp, jti: randomUUID() }
    const input = `${encode({ alg, kid })}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(input), weak.privateKey).toString('base64url')
    const answer = await token({
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: `${input}.${signature}`,
    })
    t.match(answer, { status: 401, body: { error: 'invalid_client' } }, `${alg} ${kid}`)
  }
})

t.test('a client that is disabled or deleted is refused within a second', async (t) => {
  const ends = [(id: string) => setDisabled(db, new Date(), id, true), (id: string) => deleteClient(db, id)]
  for (const end of ends) {
    const own = await client({ [api]: 'read' })
    t.equal((await token({}, own)).status, 200)
    await end(own.id)
    await eventually(async () => (await token({}, own)).status === 401)
  }
})

t.test('only refusals count towards the budget of an address', async (t) => {
  const limited = await startServer(t, {
    databaseUrl: server.databaseUrl,
    env: { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'client_refused=3/60,token=5/60' },
  })
  const ask = (secret: string) => post(limited, '/oauth/token', { grant_type }, { ...robot, secret })
  for (let count = 0; count < 3; count += 1) t.equal((await ask('x')).status, 401)
  const refused = await ask('x')
  t.match(refused, { status: 429, body: { error: 'temporarily_unavailable' } })
  t.ok(Number(refused.headers.get('retry-after')) > 0)
  for (let count = 0; count < 5; count += 1) t.equal((await ask(robot.secret)).status, 200)
  t.match(await ask(robot.secret), { status: 429 }, 'each client has a budget of its own')
})

t.test('while Postgres is away, a known client goes on for a moment, and then it is 503', async (t) => {
  const cut = await startServer(t, { databaseUrl: server.databaseUrl, proxies: true })
  cut.proxies.postgres.cut()
  const ask = () => post(cut, '/oauth/token', { grant_type }, robot)
  await eventually(async () => (await ask()).status === 503)
  const answer = await ask()
  t.match(answer.body, { error: 'temporarily_unavailable' })
  t.ok(answer.headers.get('retry-after'))
  await cut.proxies.postgres.heal()
  await eventually(async () => (await ask()).status === 200)
})

t.test(
  'assertions beyond the budget of their client leave no row, and strangers do not spend it',
  async (t) => {
    const limited = await startServer(t, {
      env: { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'token=3/3600' },
      databaseUrl: server.databaseUrl,
    })
    const { id, sign } = await withKey()
    const stranger = await withKey()
    const send = (client_assertion: string) =>
      post(limited, '/oauth/token', {
        grant_type,
        client_id: id,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion,
      })
    for (let index = 0; index < 5; index += 1) {
      t.equal((await send(await sign({}, stranger.privateKey))).status, 401)
    }
    const before = await db.spentTicket.count()
    const answers = []
    for (let index = 0; index < 8; index += 1) answers.push(await send(await sign()))
    t.strictSame(
      answers.map(({ status }) => status),
      [200, 200, 200, 429, 429, 429, 429, 429],
    )
    t.equal((await db.spentTicket.count()) - before, 3)
  },
)
