import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { registrations } from '../../support/oauth.ts'
import { movableClock, startServer } from '../../support/server.ts'
import { unregisteredClient } from '../../support/unregistered.ts'
import { createVisitor, titleOf } from '../../support/visitor.ts'

const clock = movableClock()
const server = await startServer(t, { clock, env: { DYNAMIC_REGISTRATION: 'true' } })
const issuer = 'http://localhost:8080'
const CALLBACK = 'https://app.example.com/callback'
const CHALLENGE = 'x'.repeat(43)
const METADATA = {
  client_name: 'Inspector',
  redirect_uris: [CALLBACK, 'http://127.0.0.1/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}
const api = await registrations(server).resource('read write', { openScopes: ['read'] })
const account = await server.createAccount()
const register = (metadata: unknown) => server.post('/oauth/register', metadata)

t.test('a client registers itself, and nothing is stored', async (t) => {
  const metadata = await server.call('GET', '/.well-known/oauth-authorization-server')
  t.equal(metadata.body.registration_endpoint, `${issuer}/oauth/register`)
  const rows = () => server.db.client.count()
  const before = await rows()
  const { status, body, headers } = await register({ ...METADATA, logo_uri: 'https://app.example.com/logo' })
  t.equal(status, 201)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(body, METADATA)
  t.equal(body.client_secret_expires_at - body.client_id_issued_at, 90 * 86_400)
  t.notOk(body.client_secret)
  t.ok(body.client_id.length < 1_500)
  t.equal(await rows(), before)

  const app = unregisteredClient(server, body.client_id, CALLBACK)
  const visitor = createVisitor(server)
  const page = await visitor.open(app.url(CHALLENGE, { scope: 'read', prompt: 'none' }))
  t.match(titleOf(page), 'Sign in', 'nothing leads to it before')
  const asked = await visitor.signIn(await visitor.open(app.url(CHALLENGE, { scope: 'read' })), account)
  t.match(asked.text, 'Nobody here has checked who made it')
  const tokens = await app.redeem(await app.code(account, { scope: 'read' }, visitor))
  t.match(tokens.body, { scope: 'read' })
  t.equal((await app.refresh(tokens.body.refresh_token)).status, 200)
  const { access_token: bearer } = await server.login(account)
  const [grant] = (await server.call('GET', '/auth/grants', { bearer })).body.grants
  t.match(grant, { client_id: app.id, client_name: 'Inspector', client_uri: null })
  t.match(grant.permissions, [{ resource: api, scopes: ['read'] }])
})

t.test('defaults are those of a public client', async (t) => {
  const { body } = await register({ redirect_uris: [CALLBACK] })
  t.match(body, {
    client_name: 'app.example.com',
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: 'none',
  })
  const fewer = await register({
    ...METADATA,
    grant_types: ['authorization_code', 'client_credentials', 'x'],
  })
  t.same(fewer.body.grant_types, ['authorization_code'])
})

t.test('a client with keys signs', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [await exportJWK(publicKey)] }
  const { body } = await register({ ...METADATA, token_endpoint_auth_method: 'private_key_jwt', jwks })
  const app = unregisteredClient(server, body.client_id, CALLBACK)
  const given = await app.code(account, { scope: 'read' })
  t.match((await app.redeem(given)).body, { error: 'invalid_client' })
  const now = Math.floor(clock.now() / 1000)
  const assertion = await new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(app.id)
    .setSubject(app.id)
    .setAudience(issuer)
    .setIssuedAt(now)
    .setExpirationTime(now + 60)
    .sign(privateKey)
  const signed = {
    client_assertion: assertion,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  }
  t.equal((await app.redeem(given, signed)).status, 200)
})

t.test('what cannot be used is refused as RFC 7591 says', async (t) => {
  const uris = (...redirect_uris: unknown[]) => ({ ...METADATA, redirect_uris })
  const many = Array.from({ length: 20 }, (_, index) => `https://app.example.com/${'a'.repeat(80)}${index}`)
  for (const [metadata, error] of [
    [uris(), 'invalid_redirect_uri'],
    [uris('http://app.example.com/'), 'invalid_redirect_uri'],
    [uris('https://app.example.com/#x'), 'invalid_redirect_uri'],
    [uris('https://app.example.com/*'), 'invalid_redirect_uri'],
    [uris('javascript:alert(1)'), 'invalid_redirect_uri'],
    [uris('https://app.example.com/..;/x'), 'invalid_redirect_uri'],
    [{ ...METADATA, redirect_uris: undefined }, 'invalid_redirect_uri'],
    [uris(7), 'invalid_client_metadata'],
    [{ ...METADATA, redirect_uris: CALLBACK }, 'invalid_client_metadata'],
    [{ ...METADATA, redirect_uris: many }, 'invalid_client_metadata'],
    [{ ...METADATA, token_endpoint_auth_method: 'client_secret_basic' }, 'invalid_client_metadata'],
    [{ ...METADATA, token_endpoint_auth_method: 'client_secret_post' }, 'invalid_client_metadata'],
    [{ ...METADATA, token_endpoint_auth_method: 'private_key_jwt' }, 'invalid_client_metadata'],
    [
      { ...METADATA, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: CALLBACK },
      'invalid_client_metadata',
    ],
    [{ ...METADATA, token_endpoint_auth_method: 7 }, 'invalid_client_metadata'],
    [{ ...METADATA, grant_types: ['implicit'] }, 'invalid_client_metadata'],
    [{ ...METADATA, grant_types: 'authorization_code' }, 'invalid_client_metadata'],
    [{ ...METADATA, response_types: ['token'] }, 'invalid_client_metadata'],
    [{ ...METADATA, client_name: '' }, 'invalid_client_metadata'],
    [{ ...METADATA, client_name: 'a\u202eb' }, 'invalid_client_metadata'],
    [{ ...METADATA, client_name: 'a'.repeat(101) }, 'invalid_client_metadata'],
    [{ ...METADATA, client_secret: 'mine' }, 'invalid_client_metadata'],
  ] as const) {
    const { status, body } = await register(metadata)
    t.match({ status, body }, { status: 400, body: { error } }, JSON.stringify(metadata))
    t.ok(body.error_description)
  }
  t.match((await register([])).body, { error: 'invalid_request' })
  const broken = await server.call('POST', '/oauth/register', { body: '{"redirect_uris":' })
  t.match(broken.body, { error: 'invalid_request' })
})

t.test('an id ends after 90 days, and no other spelling of it works', async (t) => {
  const { body } = await register(METADATA)
  const id: string = body.client_id
  const visitor = createVisitor(server)
  const opened = async (each: string) =>
    (await visitor.open(unregisteredClient(server, each, CALLBACK).url(CHALLENGE))).status
  t.equal(await opened(id), 200)
  const changed = id.at(-1) === 'A' ? 'B' : 'A'
  for (const other of [
    `${id}=`,
    `${id} `,
    id.slice(0, -1) + changed,
    id.toUpperCase(),
    `${id}.`,
    'dynamic_',
    'dynamic_AAAA',
  ])
    t.equal(await opened(other), 400, other.slice(-5))
  clock.advance(90 * 86_400_000 + 1_000)
  t.equal(await opened(id), 400)
})

t.test('pages of every origin can register a client', async (t) => {
  const origin = 'https://inspector.example.net'
  const preflight = await server.call('OPTIONS', '/oauth/register', {
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,mcp-protocol-version',
    },
  })
  t.equal(preflight.headers.get('access-control-allow-origin'), '*')
  t.match(preflight.headers.get('access-control-allow-headers'), 'content-type')
  const { status, headers } = await server.post('/oauth/register', METADATA, { headers: { origin } })
  t.equal(status, 201)
  t.equal(headers.get('access-control-allow-origin'), '*')
})

t.test('it is off unless it is switched on', async (t) => {
  const plain = await startServer(t)
  const metadata = await plain.call('GET', '/.well-known/oauth-authorization-server')
  t.notOk(metadata.body.registration_endpoint)
  t.equal((await plain.post('/oauth/register', METADATA)).status, 404)
  const { body } = await register(METADATA)
  const page = await createVisitor(plain).open(
    unregisteredClient(plain, body.client_id, CALLBACK).url(CHALLENGE),
  )
  t.match({ status: page.status, text: page.text }, { status: 400, text: 'unknown_client' })
})
