import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { createAdministrator } from '../../support/administrator.ts'
import { becomes } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const { client } = registrations(server)
const { id: actor, bearer } = await createAdministrator(server)
const call = (method: string, query: string, body?: object) =>
  server.call(method, `/admin/resources${query}`, { bearer, ...(body ? { body } : {}) })
const of = (identifier: string) => `?identifier=${encodeURIComponent(identifier)}`
const token = (id: string, secret: string) =>
  post(server, '/oauth/token', { grant_type: 'client_credentials' }, { id, secret })
const headerOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())

t.test('a resource is registered, listed, changed and removed', async (t) => {
  const identifier = 'https://api.example.com/orders?version=1'
  const made = await call('POST', '', { identifier, scopes: ['read', 'write'] })
  t.strictSame([made.status, made.body], [201, { identifier }])
  const shown = {
    identifier,
    name: identifier,
    scopes: ['read', 'write'],
    token_ttl: 600,
    typ: 'at+jwt',
    alg: null,
  }
  t.match((await call('GET', of(identifier))).body, {
    resources: [{ ...shown, server: null }],
    next_cursor: null,
  })
  t.match((await call('POST', '', { identifier, scopes: [] })).body, { status: 409, code: 'resource_exists' })
  const { id, secret } = await client({ [identifier]: 'read write' })
  t.equal((await token(id, secret)).body.expires_in, 600)
  const changes = {
    name: 'Orders',
    scopes: ['read'],
    app_scopes: ['read'],
    token_ttl: 60,
    typ: 'JWT',
    server: id,
  }
  t.equal((await call('PATCH', of(identifier), changes)).status, 204)
  t.match((await call('GET', '')).body.resources, [{ identifier, ...changes }])
  await becomes(
    t,
    async () => (await token(id, secret)).body.expires_in === 60,
    'clients get what it says now',
  )
  t.match((await token(id, secret)).body, { scope: 'read' })
  t.equal((await call('PATCH', of(identifier), { server: null })).status, 204)
  t.equal((await call('DELETE', of(identifier), {})).status, 204)
  await becomes(t, async () => (await token(id, secret)).body.error === 'invalid_target', 'no more tokens')
  for (const method of ['PATCH', 'DELETE'])
    t.match((await call(method, of(identifier), method === 'PATCH' ? { name: 'x' } : {})).body, {
      code: 'not_found',
    })
  t.strictSame((await call('GET', of(identifier))).body.resources, [])
  const about = (type: string) => ({ resource: type === 'resource_list' ? null : identifier })
  for (const type of ['resource_create', 'resource_change', 'resource_delete', 'resource_list'])
    t.ok(
      await server.db.auditEvent.count({ where: { type, actor, outcome: 'success', ...about(type) } }),
      type,
    )
  for (const type of ['resource_change', 'resource_delete'])
    t.ok(
      await server.db.auditEvent.count({ where: { type, actor, outcome: 'failure', reason: 'not_found' } }),
      type,
    )
})

t.test('what cannot be is refused with what would be right', async (t) => {
  const good = { identifier: 'https://api.example.com', scopes: ['read'] }
  const cases: [body: object, pointer: string, detail: RegExp][] = [
    [{ ...good, identifier: 'api' }, '/identifier', /absolute URI/],
    [{ ...good, identifier: 'https://api.example.com#x' }, '/identifier', /without a fragment/],
    [{ ...good, identifier: 'https://api.example.com/ä' }, '/identifier', /absolute URI/],
    [{ ...good, identifier: 'http://localhost:8080/' }, '/identifier', /this server itself/],
    [{ ...good, identifier: 'HTTP://localhost:8080' }, '/identifier', /this server itself/],
    [{ ...good, name: '' }, '/name', /1 to 100/],
    [{ ...good, scopes: ['account'] }, '/scopes/0', /means something else/],
    [{ ...good, scopes: ['read', 'openid'] }, '/scopes/1', /means something else/],
    [{ ...good, scopes: ['admin:users:read'] }, '/scopes/0', /means something else/],
    [{ ...good, scopes: ['a b'] }, '/scopes/0', /without spaces/],
    [{ ...good, scopes: Array.from({ length: 101 }, (_, index) => `s${index}`) }, '/scopes', /at most 100/],
    [{ ...good, token_ttl: 601 }, '/token_ttl', /up to 600/],
    [{ ...good, token_ttl: 0 }, '/token_ttl', /up to 600/],
    [{ ...good, token_ttl: 1.5 }, '/token_ttl', /integer/],
    [{ ...good, typ: 'jwt' }, '/typ', /one of/],
    [{ ...good, alg: 'HS256' }, '/alg', /must be/],
    [{ ...good, server: 'x' }, '/server', /id of a client/],
  ]
  for (const [body, pointer, detail] of cases) {
    const { status, body: refusal } = await call('POST', '', body)
    t.equal(status, 400, `${pointer} ${detail}`)
    t.match(refusal.errors, [{ pointer, detail }])
  }
  t.equal(await server.db.resource.count(), 0)
  t.equal(await server.db.signingKey.count(), 1, 'and no key was made')
})

t.test('tokens have the algorithm and the type that their API can verify', async (t) => {
  const api = 'https://spring.example.com'
  await call('POST', '', { identifier: api, scopes: ['read'], alg: 'RS256', typ: 'JWT' })
  const { id, secret } = await client({ [api]: 'read' })
  const first = (await token(id, secret)).body.access_token
  t.match(headerOf(first), { alg: 'RS256', typ: 'JWT' }, 'the first key of an algorithm signs at once')
  const keys = createLocalJWKSet((await server.call('GET', '/.well-known/jwks.json')).body)
  const options = { issuer: 'http://localhost:8080', audience: api, algorithms: ['RS256'], typ: 'JWT' }
  t.match((await jwtVerify(first, keys, options)).payload, { sub: id, scope: 'read' })
  const account = await server.createAccount()
  t.match(headerOf((await server.login(account)).access_token), { alg: 'ES256', typ: 'at+jwt' }, 'ours stay')
  const other = await startServer(t, { databaseUrl: server.databaseUrl })
  const there = await post(other, '/oauth/token', { grant_type: 'client_credentials' }, { id, secret })
  t.equal(headerOf(there.body.access_token).kid, headerOf(first).kid, 'one key on every node')
})

t.test('a running API changes to an algorithm once its key has been published for an hour', async (t) => {
  const api = 'https://running.example.com'
  await call('POST', '', { identifier: api, scopes: ['read'] })
  const { id, secret } = await client({ [api]: 'read' })
  const refused = await call('PATCH', of(api), { alg: 'EdDSA' })
  t.match(refused.body, { status: 409, code: 'signing_key_waits', signs_at: /^20/ })
  const key = await server.db.signingKey.findFirstOrThrow({ where: { alg: 'EdDSA' } })
  t.equal(refused.body.signs_at, key.activatesAt.toISOString())
  t.equal(key.activatesAt.getTime() - key.createdAt.getTime(), 3_600_000)
  t.equal(headerOf((await token(id, secret)).body.access_token).alg, 'ES256', 'until then as before')
  await server.db.signingKey.update({ where: { kid: key.kid }, data: { activatesAt: new Date() } })
  t.equal((await call('PATCH', of(api), { alg: 'EdDSA' })).status, 204)
  await becomes(
    t,
    async () => headerOf((await token(id, secret)).body.access_token).alg === 'EdDSA',
    'then with the new one',
  )
  t.equal((await call('PATCH', of(api), { alg: null })).status, 204, 'and back')
})

t.test('resources are listed in pages, newest first, each once', async (t) => {
  await server.db.resource.deleteMany()
  const createdAt = new Date()
  const identifiers = [
    'urn:example:a',
    'urn:example:b',
    'https://c.example.com/a/b?c=d',
    'https://d.example.com',
    'urn:e:0',
  ]
  const data = identifiers.map((identifier, index) => ({
    ...{ identifier, name: identifier, scopes: [], tokenTtl: 600, typ: 'JWT' },
    createdAt: new Date(createdAt.getTime() - (index % 2)),
  }))
  await server.db.resource.createMany({ data })
  const seen: { identifier: string; created_at: string }[] = []
  for (let cursor = ''; cursor !== '&cursor=null'; ) {
    const { body } = await call('GET', `?limit=2${cursor}`)
    seen.push(...body.resources)
    cursor = `&cursor=${body.next_cursor}`
  }
  t.strictSame(seen.map(({ identifier }) => identifier).toSorted(), identifiers.toSorted())
  const times = seen.map(({ created_at: at }) => at)
  t.strictSame(times, times.toSorted().reverse())
})
