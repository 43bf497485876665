import { randomUUID } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { gzipSync } from 'node:zlib'
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { startDocumentServer } from '../../../support/document-server.ts'
import { eventually } from '../../../support/eventually.ts'
import { post, registrations } from '../../../support/oauth.ts'
import { movableClock, startServer } from '../../../support/server.ts'
import { unregisteredClient } from '../../../support/unregistered.ts'
import { createVisitor, parametersOf, titleOf } from '../../../support/visitor.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const web = await startDocumentServer(t)
const CALLBACK = `${web.origin}/callback`
const host = new URL(web.origin).host
const account = await server.createAccount()
const CHALLENGE = 'x'.repeat(43)

const supported = async () =>
  (await server.call('GET', '/.well-known/oauth-authorization-server')).body
    .client_id_metadata_document_supported
const client = (path: string, metadata: object = {}) =>
  unregisteredClient(server, web.publish(path, metadata), CALLBACK)
const signedIn = async () => {
  const visitor = createVisitor(server)
  const page = await visitor.open(client('/for-sign-in').url(CHALLENGE))
  await visitor.signIn(page, account)
  return visitor
}

t.test('metadata documents are off until a resource is open', async (t) => {
  t.equal(await supported(), false)
  const visitor = createVisitor(server)
  const page = await visitor.open(client('/early').url(CHALLENGE))
  t.equal(page.status, 400)
  t.match(page.text, 'unknown_client')
})

let api = ''
t.test('a resource is opened', async () => {
  api = await registry.resource('read write', { openScopes: ['read'] })
  await registry.resource('read')
  await eventually(supported)
})

t.test('a client that nobody registered gets tokens for what is open', async (t) => {
  t.equal(await supported(), true)
  const app = client('/app.json')
  const visitor = createVisitor(server)
  const first = await visitor.open(app.url(CHALLENGE, { scope: 'read offline_access' }))
  t.equal(titleOf(first), `Sign in to continue to ${host}`, 'only the host is named')
  t.notOk(web.asked.includes('/app.json'), 'nothing is fetched for nobody')
  const asked = await visitor.signIn(first, account)
  t.same(web.asked.filter((path) => path === '/app.json').length, 1)
  t.match(titleOf(asked), `Notes (${host}) asks for access`)
  t.match(asked.text, 'Nobody here has checked who made it')
  t.match(asked.text, 'any program here could say that it is Notes')

  const given = await app.code(account, { scope: 'read offline_access' }, visitor)
  const { status, body } = await app.redeem(given)
  t.equal(status, 200)
  t.match(body, { scope: 'read offline_access' })
  t.match(decodeJwt(body.access_token), { aud: api, client_id: app.id, iss: issuer })
  t.equal((await server.call('GET', '/me', { bearer: body.access_token })).status, 401)
  const next = await app.refresh(body.refresh_token)
  t.equal(next.status, 200)
  t.same(web.asked.filter((path) => path === '/app.json').length, 1, 'the document is remembered')

  const { access_token: bearer } = await server.login(account)
  const listed = (await server.call('GET', '/auth/grants', { bearer })).body.grants
  t.match(
    listed.find(({ client_id }: { client_id: string }) => client_id === app.id),
    { client_name: `Notes (${host})`, client_uri: `${web.origin}/`, live_sessions: 1 },
  )
  const withdrawn = await server.call('DELETE', `/auth/grants?client_id=${encodeURIComponent(app.id)}`, {
    bearer,
  })
  t.equal(withdrawn.status, 204)
  t.match((await app.refresh(next.body.refresh_token)).body, { error: 'invalid_grant' })
})

t.test('it may ask for nothing else', async (t) => {
  const app = client('/asks')
  const visitor = await signedIn()
  for (const [parameters, error] of [
    [{ scope: 'write' }, 'invalid_scope'],
    [{ scope: 'read email' }, 'invalid_scope'],
    [{ scope: 'openid profile' }, 'invalid_scope'],
    [{ scope: 'account' }, 'invalid_scope'],
    [{ scope: 'admin:users:read' }, 'invalid_scope'],
    [{ scope: 'read', resource: 'https://other.example.com' }, 'invalid_target'],
    [{ scope: 'read', resource: issuer }, 'invalid_target'],
  ] as const) {
    const answer = await visitor.open(app.url(CHALLENGE, parameters))
    t.match(parametersOf(answer), { error }, JSON.stringify(parameters))
  }
  const own = await app.token({ grant_type: 'client_credentials', scope: 'read' })
  t.not(own.status, 200)
})

t.test('until somebody has signed in there are only pages', async (t) => {
  const app = client('/pages')
  for (const parameters of [{}, { prompt: 'none' }, { scope: 'none' }, { response_type: 'token' }] as const) {
    const page = await createVisitor(server).open(app.url(CHALLENGE, parameters))
    t.equal(page.status, 200)
    t.match(titleOf(page), 'Sign in')
  }
  t.notOk(web.asked.includes('/pages'))
  t.match((await app.token({ grant_type: 'authorization_code', code: 'x' })).body, {
    error: 'invalid_client',
  })
  t.notOk(web.asked.includes('/pages'), 'the token endpoint fetches nothing that no user allows')
})

t.test('only a redirect URI of the document is gone to', async (t) => {
  const id = web.publish('/redirects')
  const visitor = await signedIn()
  for (const uri of ['https://evil.example.com/', `${CALLBACK}/../x`, `${CALLBACK}?x=1`]) {
    const page = await visitor.open(unregisteredClient(server, id, uri).url(CHALLENGE))
    t.match({ status: page.status, text: page.text }, { status: 400, text: 'wrong_redirect_uri' })
  }
})

t.test('one that leads to another site is asked about each time', async (t) => {
  const uri = 'https://elsewhere.example.com/back'
  const app = unregisteredClient(server, web.publish('/elsewhere', { redirect_uris: [uri] }), uri)
  const visitor = await signedIn()
  await app.code(account, { scope: 'read' }, visitor)
  const again = await visitor.open(app.url(CHALLENGE, { scope: 'read' }))
  t.equal(again.status, 200)
  t.match(again.text, 'elsewhere.example.com, which is another site')
})

t.test('documents that cannot be used lead to a page, and are read again soon', async (t) => {
  const visitor = await signedIn()
  const bad: Record<string, object> = {
    wrong_client_id: { client_id: `${web.origin}/other` },
    invalid_metadata: { redirect_uris: [] },
  }
  const details: object[] = [
    { redirect_uris: ['http://evil.example.com/'] },
    { redirect_uris: 'https://app.example.com/' },
    { token_endpoint_auth_method: 'client_secret_basic' },
    { client_secret: 'secret' },
    { grant_types: ['client_credentials'] },
    { client_name: 'evil\u202e' },
    { client_name: 7 },
    { token_endpoint_auth_method: 'private_key_jwt' },
    { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } },
    { token_endpoint_auth_method: 'private_key_jwt', jwks: 'x' },
    { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 7 },
  ]
  for (const [fault, metadata] of Object.entries(bad)) {
    const app = client(`/bad-${fault}`, metadata)
    const page = await visitor.open(app.url(CHALLENGE))
    t.equal(page.status, 400)
    t.match(page.text, fault)
    t.match(page.text, host)
  }
  for (const [index, metadata] of details.entries()) {
    const page = await visitor.open(client(`/bad-${index}`, metadata).url(CHALLENGE))
    t.match({ status: page.status, text: page.text }, { status: 400, text: 'invalid_metadata' })
  }
  const app = client('/bad-0')
  t.equal((await visitor.open(app.url(CHALLENGE))).status, 400)
  clock.advance(6_000)
  t.equal((await visitor.open(app.url(CHALLENGE))).status, 200)
  const refused = { type: 'client_document', reason: 'wrong_client_id', userId: { not: null } }
  await eventually(async () => (await server.db.auditEvent.count({ where: refused })) === 1)
})

t.test('what is no document, or comes too slowly, leads to a page too', async (t) => {
  const timers: NodeJS.Timeout[] = []
  t.teardown(() => timers.forEach(clearInterval))
  const type = { 'content-type': 'application/json' }
  const answers: Record<string, RequestListener> = {
    wrong_status: (_request, response) => void response.writeHead(302, { location: '/app.json' }).end(),
    wrong_type: (_request, response) =>
      void response
        .writeHead(200, { ...type, 'content-encoding': 'gzip' })
        .end(gzipSync(' '.repeat(10_000_000))),
    too_large: (_request, response) => void response.writeHead(200, type).end(' '.repeat(5_121)),
    not_json: (_request, response) => void response.writeHead(200, type).end('<html>'),
    too_slow(_request, response) {
      response.writeHead(200, type)
      timers.push(setInterval(() => response.write(' '), 1_000))
    },
  }
  const visitor = await signedIn()
  await Promise.all(
    Object.entries(answers).map(async ([fault, answer]) => {
      web.documents.set(`/${fault}`, answer)
      const page = await visitor.open(
        unregisteredClient(server, `${web.origin}/${fault}`, CALLBACK).url(CHALLENGE),
      )
      t.match({ status: page.status, text: page.text }, { status: 400, text: fault })
    }),
  )
})

t.test('a client has one id', async (t) => {
  const visitor = await signedIn()
  const { port } = web
  web.publish('/one')
  for (const id of [
    `HTTP://127.0.0.1:${port}/one`,
    `http://127.1:${port}/one`,
    `http://2130706433:${port}/one`,
    `http://127.0.0.1.:${port}/one`,
    `http://LOCALHOST:${port}/one`,
    `http://127.0.0.1:0${port}/one`,
    `http://user@127.0.0.1:${port}/one`,
    `http://127.0.0.1:${port}/%6fne`,
    `http://127.0.0.1:${port}/a/../one`,
    `http://127.0.0.1:${port}/%2e/one`,
    `http://127.0.0.1:${port}/./one`,
    `http://127.0.0.1:${port}//one`,
    `http://127.0.0.1:${port}/one#x`,
    `http://127.0.0.1:${port}/one?x`,
    `http://127.0.0.1:${port}/öne`,
    `http://127.0.0.1:${port}/one `,
    `http://127.0.0.1:${port}`,
    `http://127.0.0.1:${port}/`,
    'https://EXAMPLE.com/one',
    'https://example.com:443/one',
    'https://example.com./one',
    'https://ex\u00e4mple.com/one',
    'https://user:password@example.com/one',
    'http://example.com/one',
    `https://example.com/${'a'.repeat(1_000)}`,
  ]) {
    const page = await visitor.open(unregisteredClient(server, id, CALLBACK).url(CHALLENGE))
    t.equal(page.status, 400, id)
  }
})

t.test('a document may change', async (t) => {
  const app = client('/changes')
  const given = await app.code(account, { scope: 'read' })
  web.publish('/changes', { redirect_uris: ['https://new.example.com/'] })
  clock.advance(300_001)
  const late = await app.redeem(given)
  t.match(late.body, { error: 'invalid_grant' })
  t.equal(web.asked.filter((path) => path === '/changes').length, 2)

  web.publish('/changes')
  clock.advance(300_001)
  const own = await app.code(account, { scope: 'read' })
  web.publish('/changes', { redirect_uris: ['https://new.example.com/'] })
  t.equal((await app.redeem(own)).status, 200, 'what is remembered counts')
  const second = await app.code(account, { scope: 'read' })
  clock.advance(30_000)
  web.documents.delete('/changes')
  t.equal((await app.redeem(second)).status, 200)
})

t.test('a refresh of a client whose document is away is answered 503, and works afterwards', async (t) => {
  const app = client('/away')
  const { body } = await app.redeem(await app.code(account, { scope: 'read' }))
  web.documents.set('/away', (_request, response) => void response.writeHead(500).end())
  clock.advance(300_001)
  const away = await app.refresh(body.refresh_token)
  t.match(
    { status: away.status, body: away.body },
    { status: 503, body: { error: 'temporarily_unavailable' } },
  )
  t.equal((await post(server, '/oauth/introspect', { token: body.access_token }, undefined)).status, 401)
  web.publish('/away')
  clock.advance(6_000)
  t.equal((await app.refresh(body.refresh_token)).status, 200)
})

t.test('a client with keys proves that it has them', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] }
  web.documents.set('/keys', jwks)
  for (const keys of [{ jwks }, { jwks_uri: `${web.origin}/keys` }]) {
    const metadata = { token_endpoint_auth_method: 'private_key_jwt', ...keys }
    const app = client(`/signs-${Object.keys(keys)[0]}`, metadata)
    const given = await app.code(account, { scope: 'read' })
    t.match((await app.redeem(given)).body, { error: 'invalid_client' })
    const assertion = await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', kid: 'a' })
      .setIssuer(app.id)
      .setSubject(app.id)
      .setAudience(issuer)
      .setIssuedAt(Math.floor(clock.now() / 1000))
      .setExpirationTime(Math.floor(clock.now() / 1000) + 60)
      .sign(privateKey)
    const signed = {
      client_assertion: assertion,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    }
    t.equal((await app.redeem(given, signed)).status, 200)
  }
})

t.test('no client has the id of a resource: an id_token must not open an API', async (t) => {
  const app = client('/api')
  const visitor = await signedIn()
  t.equal((await visitor.open(app.url(CHALLENGE))).status, 200)
  await server.db.resource.create({
    data: { identifier: app.id, name: 'API', scopes: [], tokenTtl: 600, typ: 'JWT', createdAt: new Date() },
  })
  await eventually(async () => (await visitor.open(app.url(CHALLENGE))).status === 400)
})

t.test('a user of such a client is known by id alone, also while its document is away', async (t) => {
  const app = client('/openid')
  const document = JSON.stringify(web.documents.get('/openid'))
  const headers = { 'content-type': 'application/json', 'cache-control': 'max-age=1' }
  web.documents.set('/openid', (_request, response) => void response.writeHead(200, headers).end(document))
  const { body } = await app.redeem(await app.code(account, { scope: 'openid' }))
  t.match(decodeJwt(body.id_token), { aud: app.id, iss: issuer })
  t.notOk(decodeJwt(body.id_token).email)
  web.documents.set('/openid', (_request, response) => void response.writeHead(500).end())
  // A minute, although it asks for less.
  clock.advance(20_000)
  t.equal((await app.redeem({ code: 'x', verifier: 'x' })).body.error, 'invalid_grant')
  clock.advance(41_000)
  t.equal((await app.redeem({ code: 'x', verifier: 'x' })).status, 503)
  const told = await server.call('GET', '/oauth/userinfo', { bearer: body.access_token })
  t.same(Object.keys(told.body), ['sub'])
  const hint = new URLSearchParams({ id_token_hint: body.id_token, client_id: app.id })
  t.not((await createVisitor(server).open(`/oauth/end-session?${hint}`)).status, 500)
})
