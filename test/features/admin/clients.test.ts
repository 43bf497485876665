import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import { createAdministrator } from '../../support/administrator.ts'
import { beginClientSession } from '../../support/client-session.ts'
import { becomes } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const { resource, client: plant } = registrations(server)
const { id: actor, bearer } = await createAdministrator(server)
const call = (method: string, path: string, body?: object) =>
  server.call(method, `/admin/clients${path}`, { bearer, ...(body ? { body } : {}) })
const eventsOf = async (type: string, where: object = {}) =>
  (await server.db.auditEvent.findMany({ where: { type, actor, ...where }, orderBy: { at: 'asc' } })).map(
    ({ outcome, reason, clientId }) => ({ outcome, reason, clientId }),
  )
const asks = async (id: string, secret: string) =>
  (await post(server, '/oauth/token', { grant_type: 'client_credentials' }, { id, secret })).status
const ROBOT = { name: 'Robot', auth_method: 'client_secret', grant_types: ['client_credentials'] }
const APP = {
  name: 'App',
  auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: [
    'https://app.example.com/callback',
    'http://127.0.0.1/callback',
    'com.example.app:/callback',
  ],
}

t.test('a client is registered, shown, changed, disabled, enabled and deleted', async (t) => {
  const api = await resource('read write')
  const made = await call('POST', '', { ...ROBOT, permissions: [{ resource: api, scopes: ['read'] }] })
  t.equal(made.status, 201)
  const { client_id: id, client_secret: secret } = made.body
  t.match(id, /^client_[\w-]{22}$/)
  t.equal(await asks(id, secret), 200)
  t.strictSame((await call('GET', `/${id}`)).body, {
    client_id: id,
    ...ROBOT,
    ...{
      uri: null,
      jwks: null,
      redirect_uris: [],
      post_logout_redirect_uris: [],
      backchannel_logout_uri: null,
    },
    ...{ first_party: false, requires_dpop: false, id_token_alg: null, late_window: 1_800, admin_scopes: [] },
    permissions: [{ resource: api, scopes: ['read'] }],
    serves: [],
    secrets: [{ created_at: await secretDate(id), last_used_at: null }],
    ...(await dates(id)),
    disabled_at: null,
  })

  const changed = await call('PATCH', `/${id}`, {
    name: ' Robots ',
    uri: 'https://robots.example.com/',
    permissions: [],
  })
  t.match(changed.body, {
    name: 'Robots',
    uri: 'https://robots.example.com/',
    permissions: [],
    late_window: 1_800,
  })
  await becomes(t, async () => (await asks(id, secret)) === 400, 'it has no permission any more')
  await call('PATCH', `/${id}`, { permissions: [{ resource: api, scopes: ['read', 'write'] }], uri: null })
  await becomes(t, async () => (await asks(id, secret)) === 200, 'it has')

  t.equal((await call('POST', `/${id}/disable`, {})).status, 204)
  await becomes(t, async () => (await asks(id, secret)) === 401, 'it is refused')
  t.equal((await call('POST', `/${id}/disable`, {})).status, 204)
  t.match((await call('GET', `/${id}`)).body.disabled_at, /^20/)
  t.equal((await call('POST', `/${id}/enable`, {})).status, 204)
  await becomes(t, async () => (await asks(id, secret)) === 200, 'it is accepted')

  t.equal((await call('DELETE', `/${id}`, {})).status, 204)
  await becomes(t, async () => (await asks(id, secret)) === 401, 'it is refused')
  t.match((await call('GET', `/${id}`)).body, { status: 404, code: 'not_found' })
  const success = { outcome: 'success', reason: null, clientId: id }
  t.strictSame(await eventsOf('client_create'), [success])
  t.strictSame(await eventsOf('client_change'), [success, success])
  t.strictSame(await eventsOf('client_disable'), [success, { ...success, reason: 'unchanged' }])
  t.strictSame(await eventsOf('client_enable'), [success])
  t.strictSame(await eventsOf('client_delete'), [success])
  t.match(await eventsOf('client_view', { outcome: 'failure' }), [{ reason: 'not_found', clientId: null }])
  t.notMatch(JSON.stringify(await server.db.auditEvent.findMany()), secret)
})

const dates = async (id: string) => {
  const { createdAt, updatedAt } = await server.db.client.findUniqueOrThrow({ where: { id } })
  return { created_at: createdAt.toISOString(), updated_at: updatedAt.toISOString() }
}
const secretDate = async (clientId: string) =>
  (await server.db.clientSecret.findFirstOrThrow({ where: { clientId } })).createdAt.toISOString()

t.test('an app for users has what it registers, and no secret', async (t) => {
  const more = {
    uri: 'https://app.example.com/',
    post_logout_redirect_uris: ['https://app.example.com/'],
    backchannel_logout_uri: 'https://app.example.com/logout',
    ...{ first_party: true, requires_dpop: true, id_token_alg: 'ES256', late_window: 0 },
  }
  const made = await call('POST', '', {
    ...APP,
    ...more,
    redirect_uris: [...APP.redirect_uris, APP.redirect_uris[0]],
  })
  t.equal(made.body.client_secret, null)
  t.match((await call('GET', `/${made.body.client_id}`)).body, {
    ...APP,
    ...more,
    redirect_uris: { length: 3 },
  })
  const cleared = await call('PATCH', `/${made.body.client_id}`, {
    ...{ uri: null, backchannel_logout_uri: null, id_token_alg: null, first_party: false },
    post_logout_redirect_uris: [],
  })
  t.match(cleared.body, { uri: null, backchannel_logout_uri: null, id_token_alg: null, first_party: false })
  t.match(cleared.body, { post_logout_redirect_uris: { length: 0 }, requires_dpop: true, ...APP })
})

t.test('every fault is listed with what would be right, and nothing is written', async (t) => {
  const api = await resource('read')
  const clients = await server.db.client.count()
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = (...keys: object[]) => ({ ...ROBOT, auth_method: 'private_key_jwt', jwks: { keys } })
  const cases: [body: object, pointer: string, detail: RegExp][] = [
    [{ ...ROBOT, name: ' ' }, '/name', /1 to 100 characters/],
    [{ ...ROBOT, name: 'a\u202eb' }, '/name', /none that controls/],
    [{ ...ROBOT, grant_types: ['password'] }, '/grant_types/0', /must be one of/],
    [{ ...ROBOT, grant_types: [] }, '/grant_types', /at least one/],
    [{ ...ROBOT, grant_types: ['refresh_token'] }, '/grant_types', /only with a grant of users/],
    [{ ...ROBOT, auth_method: 'none' }, '/grant_types', /only if the client authenticates/],
    [{ ...ROBOT, auth_method: 'basic' }, '/auth_method', /must be one of/],
    [{ ...ROBOT, redirect_uris: APP.redirect_uris }, '/redirect_uris', /are for authorization_code/],
    [{ ...APP, redirect_uris: [] }, '/redirect_uris', /at least one/],
    [{ ...APP, redirect_uris: ['http://app.example.com/'] }, '/redirect_uris/0', /must begin with https/],
    [
      { ...APP, redirect_uris: ['https://a.example/', 'https://*.example/'] },
      '/redirect_uris/1',
      /wildcards/,
    ],
    [
      { ...APP, redirect_uris: Array.from({ length: 21 }, (_, i) => `https://${i}.example/`) },
      '/redirect_uris',
      /20/,
    ],
    [{ ...APP, post_logout_redirect_uris: ['javascript:alert(1)'] }, '/post_logout_redirect_uris/0', /https/],
    [{ ...APP, uri: 'javascript:alert(1)' }, '/uri', /absolute URI/],
    [{ ...APP, uri: 'https://user@app.example.com/' }, '/uri', /user information/],
    [{ ...APP, backchannel_logout_uri: 'http://app.example.com/' }, '/backchannel_logout_uri', /https/],
    [{ ...APP, late_window: 1_801 }, '/late_window', /0 to 1800/],
    [{ ...APP, late_window: -1 }, '/late_window', /0 to 1800/],
    [{ ...APP, id_token_alg: 'HS256' }, '/id_token_alg', /must be/],
    [{ ...APP, admin_scopes: ['admin:users:read'] }, '/admin_scopes', /additional/],
    [{ ...ROBOT, admin_scopes: [] }, '/admin_scopes', /additional/],
    [{ ...ROBOT, jwks: { keys: [] } }, '/jwks', /belongs to private_key_jwt/],
    [{ ...ROBOT, auth_method: 'private_key_jwt' }, '/jwks', /must have the public keys/],
    [jwks(), '/jwks', /at least one key/],
    [jwks(await exportJWK(privateKey)), '/jwks', /has private keys: number 1/],
    [jwks({ kty: 'oct', k: 'AAAA' }), '/jwks', /has private keys/],
    [jwks({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }), '/jwks', /cannot be used/],
    [jwks({ kty: 'RSA', n: 'AQAB', e: 'AQAB' }), '/jwks', /need 2048 bits/],
    [{ ...ROBOT, permissions: [{ resource: 'urn:x', scopes: [] }] }, '/permissions/0/resource', /registered/],
    [
      { ...ROBOT, permissions: [{ resource: api, scopes: ['write'] }] },
      '/permissions/0/scopes',
      /not have write/,
    ],
    [
      {
        ...ROBOT,
        permissions: [
          { resource: api, scopes: ['read'] },
          { resource: api, scopes: [] },
        ],
      },
      '/permissions/1/resource',
      /named once/,
    ],
  ]
  for (const [body, pointer, detail] of cases) {
    const { status, body: refusal } = await call('POST', '', body)
    t.equal(status, 400, `${pointer} ${detail}`)
    t.ok(
      refusal.errors.some(
        (fault: { pointer: string; detail: string }) =>
          fault.pointer === pointer && detail.test(fault.detail),
      ),
      `${pointer} ${detail}: ${JSON.stringify(refusal.errors)}`,
    )
  }
  t.equal((await call('POST', '', { ...APP, name: '', uri: 'x', late_window: -1 })).body.errors.length, 3)
  t.equal(await server.db.client.count(), clients)

  const { client_id: id } = (await call('POST', '', APP)).body
  for (const [body, pointer] of [
    [{}, ''],
    [{ redirect_uris: [] }, '/redirect_uris'],
    [{ grant_types: ['client_credentials'] }, '/redirect_uris'],
    [{ auth_method: 'client_secret' }, '/auth_method'],
    [{ admin_scopes: ['admin:users:write'] }, '/admin_scopes'],
    [{ name: null }, '/name'],
    [{ name: 'Other', permissions: [{ resource: 'urn:x', scopes: [] }] }, '/permissions/0/resource'],
  ] as const) {
    const { status, body: refusal } = await call('PATCH', `/${id}`, body)
    t.equal(status, 400)
    t.ok(
      refusal.errors.some((fault: { pointer: string }) => fault.pointer === pointer),
      pointer,
    )
  }
  t.match((await call('GET', `/${id}`)).body, APP, 'it is as it was')
})

t.test('secrets overlap, and the older one ends', async (t) => {
  const api = await resource('read')
  const { id, secret: first } = await plant({ [api]: 'read' })
  const added = await call('POST', `/${id}/secrets`, {})
  t.equal(added.status, 201)
  const second = added.body.client_secret
  await becomes(t, async () => (await asks(id, second)) === 200, 'the new one works')
  t.equal(await asks(id, first), 200)
  t.equal((await call('DELETE', `/${id}/secrets`, {})).status, 204)
  await becomes(t, async () => (await asks(id, first)) === 401, 'the older one does not')
  t.equal(await asks(id, second), 200)
  const app = (await call('POST', '', APP)).body.client_id
  t.match((await call('POST', `/${app}/secrets`, {})).body, { code: 'not_found' }, 'a public client has none')
  t.match((await call('DELETE', `/${app}/secrets`, {})).body, { code: 'not_found' })
})

t.test('a client with administrative scopes is changed by the command line only', async (t) => {
  const { id } = await plant({}, { grantTypes: ['client_credentials'], adminScopes: ['admin:users:write'] })
  for (const [method, path, body] of [
    ['PATCH', '', { name: 'Mine' }],
    ['PATCH', '', { permissions: [] }],
    ['POST', '/secrets', {}],
    ['POST', '/enable', {}],
  ] as const)
    t.match(
      (await call(method, `/${id}${path}`, body)).body,
      { status: 403, code: 'command_line_only' },
      path,
    )
  const refused = { outcome: 'failure', reason: 'command_line_only', clientId: id }
  t.strictSame(await eventsOf('client_change', { clientId: id }), [refused, refused])
  t.strictSame(await eventsOf('client_secret_add', { clientId: id }), [refused])
  t.match((await call('GET', `/${id}`)).body, {
    name: 'Robot',
    admin_scopes: ['admin:users:write'],
    secrets: { length: 1 },
  })
  t.equal((await call('POST', `/${id}/disable`, {})).status, 204, 'what takes something away works')
  t.match((await call('POST', `/${id}/enable`, {})).body, { code: 'command_line_only' })
  t.equal((await call('DELETE', `/${id}`, {})).status, 204)
})

t.test('a deleted client takes the sessions that users gave it along, and no other', async (t) => {
  const own = await server.login(await server.createAccount())
  const [gone, kept] = [
    (await call('POST', '', APP)).body.client_id,
    (await call('POST', '', APP)).body.client_id,
  ]
  const { services } = server.app
  const { userId = null } = (await services.sessions.find(server.db, own.session.id)) ?? {}
  for (const clientId of [gone, kept])
    await services.transact((tx) =>
      services.grants.allow(tx, { userId: userId ?? '', clientId, resource: '' }, ['openid']),
    )
  const sessions = [
    await beginClientSession(services, own.session.id, { clientId: gone, scope: 'openid offline_access' }),
    await beginClientSession(services, own.session.id, { clientId: kept }),
  ]
  t.equal((await call('DELETE', `/${gone}`, {})).status, 204)
  const reasons = await Promise.all(
    sessions.map(
      async (session) => (await services.sessions.find(server.db, session?.id ?? ''))?.endedReason,
    ),
  )
  t.strictSame(reasons, ['ended_by_administrator', null])
  const allowed = await services.grants.list(server.db, userId ?? '')
  t.strictSame(
    allowed.map(({ clientId }) => clientId),
    [kept],
  )
  t.equal((await server.call('GET', '/me', { bearer: own.access_token })).status, 200)
})

t.test('what is not there is a 404', async (t) => {
  for (const id of ['client_AAAAAAAAAAAAAAAAAAAAAA', randomUUID(), 'first-party', 'x', '%2e%2e', "'"]) {
    t.equal((await call('GET', `/${id}`)).status, 404)
    t.equal((await call('PATCH', `/${id}`, { name: 'x' })).status, 404)
    t.equal((await call('DELETE', `/${id}`, {})).status, 404)
    for (const path of ['disable', 'enable', 'secrets'])
      t.equal((await call('POST', `/${id}/${path}`, {})).status, 404)
  }
  for (const id of ['%00', '%0a', `${'a'.repeat(101)}`]) t.not((await call('GET', `/${id}`)).status, 200)
})

t.test('clients are listed in pages, newest first, each once', async (t) => {
  await server.db.client.deleteMany()
  const createdAt = new Date()
  const rows = Array.from({ length: 7 }, (_, index) => ({
    ...{
      id: `client_${String(index).repeat(22)}`,
      name: `Client ${index}`,
      authMethod: 'none',
      grantTypes: [],
    },
    // Several of one moment.
    createdAt: new Date(createdAt.getTime() - (index % 3)),
    updatedAt: createdAt,
  }))
  await server.db.client.createMany({ data: rows })
  const seen: { client_id: string; created_at: string }[] = []
  let cursor = ''
  for (let page = 0; page < 4; page += 1) {
    const { body } = await call('GET', `?limit=2${cursor}`)
    seen.push(...body.clients)
    cursor = `&cursor=${body.next_cursor}`
    t.equal(body.next_cursor === null, page === 3)
  }
  t.strictSame(new Set(seen.map(({ client_id: id }) => id)), new Set(rows.map(({ id }) => id)))
  const times = seen.map(({ created_at: at }) => at)
  t.strictSame(times, times.toSorted().reverse())
  const { next_cursor: next } = (await call('GET', '?limit=1')).body
  for (const bad of [next.slice(0, -1), `${next}A`, next.replace(/.$/, '!'), 'A'.repeat(51), 'A'.repeat(80)])
    t.match(
      (await call('GET', `?cursor=${encodeURIComponent(bad)}`)).body,
      { code: 'validation_failed' },
      bad,
    )
  const other = await server.call('GET', `/admin/resources?cursor=${next}`, { bearer })
  t.match(other.body, { code: 'validation_failed' }, 'a cursor of another list')
})
