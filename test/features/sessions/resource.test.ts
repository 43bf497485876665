import { createRemoteJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { changeResource, deleteResource } from '../../../src/core/clients/clients.ts'
import { createAuthenticator } from '../../support/authenticator.ts'
import { statementsOf } from '../../support/costs.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t, { proxies: true })
const { db } = server
const registry = registrations(server)
const apiServer = await registry.client({})
const keys = createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`))
const api = await registry.resource('orders:read orders:write', {
  appScopes: ['orders:read'],
  serverId: apiServer.id,
})
const other = await registry.resource('read', { appScopes: ['read'], tokenTtl: 60, typ: 'JWT' })
const machinesOnly = await registry.resource('refund:write')
const account = await server.createAccount()
await db.user.update({ where: { email: account.email }, data: { roles: ['editor'] } })
const signIn = (more: object = {}) => {
  const { email, password } = account
  return server.post('/auth/login', { email, password, transport: 'body', ...more })
}
const refresh = (refresh_token: string, more: object = {}, headers = {}) =>
  server.post('/auth/refresh', { refresh_token, ...more }, { headers })
const claimsOf = async (token: string, audience: string, typ = 'at+jwt') =>
  (await jwtVerify(token, keys, { issuer: 'http://localhost:8080', audience, typ })).payload
const INVALID = { status: 400, body: { code: 'invalid_target', status: 400 } }

await eventually(async () => (await signIn({ resource: other })).status === 200)
const { refresh_token: first, session, access_token: own } = (await signIn()).body
let current: string = first
const next = async (more: object = {}) => {
  const answer = await refresh(current, more)
  current = answer.body.refresh_token ?? current
  return answer
}

t.test('a sign-in and a refresh give a token for the API that they name', async (t) => {
  const signedIn = await signIn({ resource: api })
  t.match(signedIn, { status: 200, body: { token_type: 'Bearer', expires_in: 600, scope: 'orders:read' } })
  const refreshed = await next({ resource: api })
  t.match(refreshed, { status: 200, body: { expires_in: 600, scope: 'orders:read' } })
  for (const { body } of [signedIn, refreshed]) {
    const claims = await claimsOf(body.access_token, api)
    t.match(claims, {
      client_id: 'first-party',
      scope: 'orders:read',
      roles: ['editor'],
      amr: ['pwd'],
      sid: body.session.id,
    })
    t.type(claims.auth_time, 'number')
  }
  const asRegistered = await next({ resource: other })
  t.match(asRegistered.body, { expires_in: 60, scope: 'read' })
  t.match(await claimsOf(asRegistered.body.access_token, other, 'JWT'), { scope: 'read' })
  const without = await next()
  t.notOk('scope' in without.body)
  t.equal((await server.call('GET', '/me', { bearer: without.body.access_token })).status, 200)
  t.equal(without.body.session.id, session.id)
})

t.test('such a token opens nothing of this server, and ends no session', async (t) => {
  const { access_token: bearer } = (await next({ resource: api })).body
  for (const [method, path] of [
    ['GET', '/me'],
    ['GET', '/auth/sessions'],
    ['GET', '/auth/grants'],
    ['GET', '/admin/users'],
    ['POST', '/auth/logout-all'],
    ['POST', '/auth/logout'],
    ['GET', '/oauth/userinfo'],
  ] as const) {
    const answer = await server.call(method, path, { bearer, ...(method === 'POST' ? { body: {} } : {}) })
    t.equal(answer.status, 401, path)
  }
  t.equal((await next()).status, 200)
  t.equal((await server.call('GET', '/me', { bearer: own })).status, 200)
})

t.test('only the API that it is for can introspect it, and it ends with its session', async (t) => {
  const { access_token: token, session } = (await signIn({ resource: api })).body
  const introspect = async (who = apiServer) => (await post(server, '/oauth/introspect', { token }, who)).body
  t.match(await introspect(), { active: true, aud: api, scope: 'orders:read', client_id: 'first-party' })
  t.strictSame(await introspect(await registry.client({ [api]: 'orders:read' })), { active: false })
  const bearer = (await next()).body.access_token
  t.equal((await server.call('DELETE', `/auth/sessions/${session.id}`, { bearer })).status, 204)
  t.strictSame(await introspect(), { active: false })
})

t.test('a second step and a passkey name it themselves', async (t) => {
  const { email, password } = await server.createAccount()
  const { access_token: bearer } = await server.login({ email, password })
  const authenticator = createAuthenticator()
  await addPasskey(server, password, bearer, authenticator)
  const OPTIONS = '/auth/login/passkey/options'
  const { mfa_token } = (await server.post('/auth/login', { email, password, resource: api })).body
  const passkey = await answerPasskey(server, OPTIONS, authenticator, { mfa_token })
  t.match(await server.post('/auth/login/mfa', { mfa_token, passkey, resource: machinesOnly }), INVALID)
  const second = await server.post('/auth/login/mfa', { mfa_token, passkey, resource: api })
  t.match(second, { status: 200, body: { scope: 'orders:read' } }, 'what was refused used nothing up')
  t.match(await claimsOf(second.body.access_token, api), { amr: ['pwd', 'pop', 'mfa'] })

  const alone = await answerPasskey(server, OPTIONS, authenticator)
  t.match(await server.post('/auth/login/passkey', { ...alone, resource: machinesOnly }), INVALID)
  const signedIn = await server.post('/auth/login/passkey', { ...alone, resource: api })
  t.match(await claimsOf(signedIn.body.access_token, api), { amr: ['pop', 'user', 'mfa'] })
})

t.test('any other resource is refused, and uses nothing up', async (t) => {
  for (const resource of [
    machinesOnly,
    `${api}/`,
    api.toUpperCase(),
    'https://unknown.example.com',
    'http://localhost:8080',
    'http://localhost:8080/oauth/userinfo',
    'account',
    '',
    '__proto__',
  ]) {
    t.match(await signIn({ resource }), INVALID, resource)
    t.match(await refresh(current, { resource }), INVALID, resource)
  }
  for (const resource of [[api], null, 1, { [api]: true }])
    t.match((await refresh(current, { resource })).body, { code: 'validation_failed' })
  await server.age(120_000)
  t.equal((await next()).status, 200)
})

t.test('a retry may name another resource, and gets the same refresh token', async (t) => {
  const key = { 'idempotency-key': 'attempt' }
  const lost = await refresh(current, { resource: api }, key)
  const retried = await refresh(current, { resource: other }, key)
  t.equal(retried.body.refresh_token, lost.body.refresh_token)
  t.match(await claimsOf(retried.body.access_token, other, 'JWT'), { scope: 'read' })
  current = retried.body.refresh_token
})

t.test('a refresh asks Postgres nothing, known resource or not, and works while it is away', async (t) => {
  const statements = statementsOf(t)
  for (const resource of [api, 'https://unknown.example.com', other]) await next({ resource })
  t.strictSame(
    statements().filter((text) => /FROM\s+"?(public"?\."?)?resources/.test(text)),
    [],
  )
  t.strictSame(
    statements().filter((text) => /sessions/.test(text) && !/UPDATE/.test(text)),
    [],
  )
  server.proxies.postgres.cut()
  t.match(await next({ resource: api }), { status: 200, body: { scope: 'orders:read' } })
  await server.proxies.postgres.heal()
})

t.test('what the operator changes applies within a second', async (t) => {
  await changeResource(db, other, { scopes: ['read', 'list'], appScopes: ['read', 'list'], tokenTtl: 30 })
  const scope = async () => (await next({ resource: other })).body.scope
  await becomes(t, async () => (await scope()) === 'read list', 'more')
  await changeResource(db, other, { scopes: ['list'] })
  await becomes(t, async () => (await scope()) === 'list', 'a scope that the resource has lost')
  await deleteResource(db, other)
  await becomes(t, async () => (await next({ resource: other })).body.code === 'invalid_target', 'none')
})
