import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { AdminScope } from '../../../src/core/clients/clients.ts'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { getNonce, getToken, proofKey } from '../../support/dpop.ts'
import { becomes } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const OWN = 'http://localhost:8080'
const server = await startServer(t)
const { resource, client, transact } = registrations(server)

/** A client with administrative scopes. */
const machine = (adminScopes: AdminScope[], permissions: Record<string, string> = {}) =>
  client(permissions, { grantTypes: ['client_credentials'], adminScopes })
const ask = (who: { id: string; secret: string }, parameters: Record<string, string> = {}) =>
  post(server, '/oauth/token', { grant_type: 'client_credentials', ...parameters }, who)
async function bearerOf(
  who: { id: string; secret: string },
  parameters: Record<string, string> = {},
): Promise<string> {
  return (await ask(who, { resource: OWN, ...parameters })).body.access_token
}
const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())

t.test('a client gets a token for this server with its administrative scopes', async (t) => {
  const robot = await machine(['admin:users:read', 'admin:users:write'])
  const { status, body } = await ask(robot)
  t.equal(status, 200, 'without a resource, if it has only these')
  t.match(body, { scope: 'admin:users:read admin:users:write', token_type: 'Bearer', expires_in: 600 })
  t.match(claimsOf(body.access_token), { sub: robot.id, client_id: robot.id, aud: OWN })
  t.notOk('sid' in claimsOf(body.access_token) || 'roles' in claimsOf(body.access_token))
  t.match((await ask(robot, { resource: OWN, scope: 'admin:users:read' })).body, {
    scope: 'admin:users:read',
  })
  const api = await resource('read')
  const both = await machine(['admin:users:read'], { [api]: 'read' })
  t.match((await ask(both)).body, { error: 'invalid_target' }, 'with others it names one')
  t.match((await ask(both, { resource: OWN })).body, { scope: 'admin:users:read' })
  t.match((await ask(both, { resource: api })).body, { scope: 'read' })
  t.match((await ask(both, { resource: OWN, scope: 'admin:users:write' })).body, { error: 'invalid_scope' })
  t.match((await ask(both, { resource: OWN, scope: 'read' })).body, { error: 'invalid_scope' })
  t.match((await ask(both, { resource: OWN, scope: 'account' })).body, { error: 'invalid_scope' })
  const ordinary = await client({ [api]: 'read' }, { grantTypes: ['client_credentials'] })
  t.match((await ask(ordinary, { resource: OWN })).body, { error: 'invalid_target' })
  t.match((await ask(ordinary, { resource: OWN, scope: 'admin:users:read' })).body, {
    error: 'invalid_target',
  })
})

t.test('reading and writing are different scopes, and the client is the actor', async (t) => {
  const person = await createPerson(server)
  const user = `/admin/users/${person.id}`
  const [reader, writer] = [await machine(['admin:users:read']), await machine(['admin:users:write'])]
  const [reads, writes] = [await bearerOf(reader), await bearerOf(writer)]
  t.ok((await server.call('GET', '/admin/users', { bearer: reads })).body.users.length > 0)
  t.match((await server.call('GET', user, { bearer: reads })).body, { id: person.id, live_sessions: 1 })
  for (const bearer of [reads, writes]) {
    const calls =
      bearer === reads
        ? ([
            ['POST', `${user}/disable`],
            ['POST', `${user}/enable`],
            ['POST', `${user}/end-sessions`],
            ['POST', `${user}/require-password-reset`],
            ['POST', `${user}/reset-factors`],
            ['DELETE', `${user}/reset-factors`],
            ['DELETE', user],
          ] as const)
        : ([
            ['GET', '/admin/users'],
            ['GET', user],
          ] as const)
    for (const [method, path] of calls) {
      const answer = await server.call(method, path, { bearer, ...(method === 'GET' ? {} : { body: {} }) })
      const scope = bearer === reads ? 'admin:users:write' : 'admin:users:read'
      t.match(answer.body, { status: 403, code: 'insufficient_scope', scope }, `${method} ${path}`)
      t.match(answer.headers.get('www-authenticate'), `error="insufficient_scope", scope="${scope}"`)
    }
  }
  t.equal(await server.db.auditEvent.count({ where: { actor: reader.id, reason: 'insufficient_scope' } }), 7)
  t.equal(await server.db.auditEvent.count({ where: { actor: writer.id, reason: 'insufficient_scope' } }), 2)

  t.equal((await server.call('POST', `${user}/end-sessions`, { bearer: writes, body: {} })).status, 204)
  t.equal((await server.call('POST', `${user}/disable`, { bearer: writes, body: {} })).status, 204)
  t.equal((await server.call('GET', '/me', { bearer: person.bearer })).status, 401)
  t.equal((await server.call('POST', `${user}/enable`, { bearer: writes, body: {} })).status, 204)
  t.equal((await server.call('DELETE', user, { bearer: writes, body: {} })).status, 204)
  const done = await server.db.auditEvent.findMany({
    where: { userId: person.id, actor: writer.id, outcome: 'success' },
    orderBy: { at: 'asc' },
  })
  t.strictSame(
    done.map(({ type }) => type),
    ['sessions_end', 'account_disable', 'account_enable', 'account_delete'],
  )
  t.equal(await server.db.auditEvent.count({ where: { actor: reader.id, outcome: 'success' } }), 2)
})

t.test('it opens nothing else: no account, no clients, no audit log', async (t) => {
  const bearer = await bearerOf(await machine(['admin:users:read', 'admin:users:write']))
  const { id } = await machine(['admin:users:read'])
  for (const [method, path, body] of [
    ['GET', '/me'],
    ['PATCH', '/me', { name: 'Robot' }],
    ['DELETE', '/me', { password: 'x' }],
    ['GET', '/auth/sessions'],
    ['DELETE', '/auth/sessions', {}],
    ['POST', '/auth/logout-all', {}],
    ['GET', '/auth/activity'],
    ['GET', '/auth/passkeys'],
    ['POST', '/auth/mfa/totp', { password: 'x' }],
    ['GET', '/admin/audit'],
    ['GET', '/admin/clients'],
    ['POST', '/admin/clients', { name: 'x', auth_method: 'none', grant_types: [] }],
    ['PATCH', `/admin/clients/${id}`, { name: 'x' }],
    ['POST', `/admin/clients/${id}/secrets`, {}],
    ['DELETE', `/admin/clients/${id}`, {}],
    ['GET', '/admin/resources'],
    ['POST', '/admin/resources', { identifier: 'urn:x:y', scopes: [] }],
  ] as const) {
    const answer = await server.call(method, path, { bearer, ...(body ? { body } : {}) })
    t.match(answer.body, { status: 401, code: 'access_token_invalid' }, `${method} ${path}`)
  }
})

t.test('it cannot change the account of an administrator', async (t) => {
  const admin = await createAdministrator(server)
  const robot = await machine(['admin:users:read', 'admin:users:write'])
  const bearer = await bearerOf(robot)
  for (const id of [admin.id, admin.id.toUpperCase()]) {
    for (const [method, path] of [
      ['POST', '/disable'],
      ['POST', '/enable'],
      ['POST', '/end-sessions'],
      ['POST', '/require-password-reset'],
      ['POST', '/reset-factors'],
      ['DELETE', '/reset-factors'],
      ['DELETE', ''],
    ] as const) {
      const answer = await server.call(method, `/admin/users/${id}${path}`, { bearer, body: {} })
      t.match(answer.body, { status: 403, code: 'administrators_only' }, path)
    }
  }
  t.equal((await server.call('GET', `/admin/users/${admin.id}`, { bearer })).status, 200, 'it can look')
  t.equal((await server.call('GET', '/admin/users', { bearer: admin.bearer })).status, 200)
  t.equal(await server.db.auditEvent.count({ where: { actor: robot.id, reason: 'administrators_only' } }), 14)
  for (const id of ['x', randomUUID()])
    t.ok((await server.call('POST', `/admin/users/${id}/disable`, { bearer, body: {} })).status >= 400)
})

t.test('a token ends with what it rests on, within a second', async (t) => {
  const read = (bearer: string) => server.call('GET', '/admin/users', { bearer })
  const [first, second, third] = [
    await machine(['admin:users:read']),
    await machine(['admin:users:read']),
    await machine(['admin:users:read']),
  ]
  const [one, two, three] = [await bearerOf(first), await bearerOf(second), await bearerOf(third)]
  for (const bearer of [one, two, three]) t.equal((await read(bearer)).status, 200)
  await server.db.client.update({ where: { id: first.id }, data: { disabledAt: new Date() } })
  await becomes(t, async () => (await read(one)).status === 401, 'disabled')
  await server.db.client.update({ where: { id: second.id }, data: { adminScopes: ['admin:users:write'] } })
  await becomes(t, async () => (await read(two)).status === 403, 'the scope was taken away')
  await transact((tx) => tx.client.delete({ where: { id: third.id } }))
  await becomes(t, async () => (await read(three)).status === 401, 'deleted')
})

t.test('a token for this server is a bearer token, also for a client that proves a key', async (t) => {
  const robot = await machine(['admin:users:read'])
  const { prove } = await proofKey()
  const { body } = await getToken(server, robot, await prove(await getNonce(server)))
  t.match(body, { token_type: 'Bearer', scope: 'admin:users:read' })
  t.notOk('cnf' in claimsOf(body.access_token))
  t.equal((await server.call('GET', '/admin/users', { bearer: body.access_token })).status, 200)
})

t.test('each client has a budget of its own', async (t) => {
  const limited = await startServer(t, {
    databaseUrl: server.databaseUrl,
    env: { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'admin=2/60' },
  })
  const [first, second] = [await machine(['admin:users:read']), await machine(['admin:users:read'])]
  const [one, two] = [await bearerOf(first), await bearerOf(second)]
  const read = async (bearer: string) => (await limited.call('GET', '/admin/users', { bearer })).status
  t.strictSame([await read(one), await read(one), await read(one), await read(two)], [200, 200, 429, 200])
})
