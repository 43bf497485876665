import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CryptoKey, exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import { post } from '../support/oauth.ts'
import { runRatchet } from '../support/ratchet.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t)
const run = async (...args: string[]) =>
  (
    await runRatchet(args, {
      NODE_ENV: 'test',
      DATABASE_URL: server.databaseUrl,
      REDIS_URL: 'redis://127.0.0.1:1',
      APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    })
  ).stdout
const api = 'https://api.example.com'
const grant_type = 'client_credentials'

t.test('what the commands print is all that a client needs', async (t) => {
  t.equal(
    await run('resources', 'create', api, '--scopes', 'read write', '--ttl', '300'),
    `${api} is registered\n`,
  )
  const created = await run('clients', 'create', 'Robot')
  const [, id = '', secret = ''] = /^client_id (\S+)\nclient_secret (\S+)\n$/.exec(created) ?? []
  await run('clients', 'allow', id, '--resource', api, '--scopes', 'read')
  t.match((await post(server, '/oauth/token', { grant_type }, { id, secret })).body, {
    scope: 'read',
    expires_in: 300,
  })
  const [, second = ''] = /^client_secret (\S+)\n$/.exec(await run('clients', 'add-secret', id)) ?? []
  t.match(second, /^cs1_/)
  t.match(JSON.parse(await run('clients', 'list', '--json')), {
    client_id: id,
    name: 'Robot',
    auth_method: 'client_secret',
    permissions: [{ resource: api, scopes: ['read'] }],
    secrets: { length: 2 },
  })
  t.match(await run('clients', 'end-old-secrets', id), 'only the newest')
  t.match(await run('clients', 'disable', id), 'refused everywhere')
  t.match(await run('clients', 'list'), `${id}  Robot  client_secret  ${api}: read  disabled since 20`)
  t.match(await run('clients', 'enable', id), 'accepted again')
  t.match(JSON.parse(await run('resources', 'list', '--json')), {
    identifier: api,
    scopes: ['read', 'write'],
    token_ttl: 300,
    typ: 'at+jwt',
    server: null,
  })
  await run('resources', 'delete', api)
  t.strictSame(JSON.parse(await run('clients', 'list', '--json')).permissions, [])
  await run('clients', 'delete', id)
  t.equal(await run('clients', 'list', '--json'), '')
  t.notMatch(JSON.stringify(await server.db.auditEvent.findMany()), secret)
})

t.test('what an app registers is shown, changed and taken away again', async (t) => {
  const [redirect, back] = [
    'https://app.example.com/callback http://127.0.0.1/callback',
    'https://app.example.com/',
  ]
  const created = await run(
    ...[
      'clients',
      'create',
      'App',
      '--auth',
      'none',
      '--redirect-uris',
      redirect,
      '--uri',
      back,
      '--first-party',
    ],
    ...['--post-logout-redirect-uris', back, '--backchannel-logout-uri', 'https://app.example.com/logout'],
    ...['--requires-dpop', '--late-window', '0', '--id-token-alg', 'RS256'],
  )
  const [, id = ''] = /^client_id (\S+)\n$/.exec(created) ?? []
  const shown = async () => JSON.parse(await run('clients', 'show', id, '--json'))
  t.match(await shown(), {
    ...{ client_id: id, name: 'App', uri: back, auth_method: 'none' },
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: redirect.split(' '),
    post_logout_redirect_uris: [back],
    backchannel_logout_uri: 'https://app.example.com/logout',
    ...{
      first_party: true,
      requires_dpop: true,
      id_token_alg: 'RS256',
      late_window: 0,
      secrets: { length: 0 },
    },
  })
  t.match(
    await run('clients', 'show', id),
    /^redirect_uris: +https:\/\/app\.example\.com\/callback {2}http:/m,
  )
  t.equal(await server.db.signingKey.count({ where: { alg: 'RS256', activatesAt: { lte: new Date() } } }), 1)
  t.equal(
    await run(
      ...['clients', 'change', id, '--third-party', '--allows-bearer', '--uri', '', '--id-token-alg', ''],
      ...[
        '--post-logout-redirect-uris',
        '',
        '--backchannel-logout-uri',
        '',
        '--late-window',
        '1800',
        '--name',
        'Apps',
      ],
    ),
    `${id} is changed\n`,
  )
  t.match(await shown(), {
    ...{
      name: 'Apps',
      uri: null,
      first_party: false,
      requires_dpop: false,
      id_token_alg: null,
      late_window: 1_800,
    },
    ...{
      post_logout_redirect_uris: { length: 0 },
      backchannel_logout_uri: null,
      redirect_uris: { length: 2 },
    },
  })
  for (const [args, message] of [
    [['--redirect-uris', 'https://app.example.com/#x'], /--redirect-uris must have no fragment/],
    [['--redirect-uris', 'http://app.example.com/'], /--redirect-uris must begin with https:\/\//],
    [['--redirect-uris', ''], /--redirect-uris must have at least one for authorization_code/],
    [['--first-party', '--third-party'], /exclude each other/],
    [['--late-window', 'long'], /--late-window must be a number of seconds from 0 to 1800/],
    [['--id-token-alg', 'HS256'], /--id-token-alg must be one of ES256, EdDSA, RS256/],
    [['--admin-scopes', 'admin:users:read'], /--admin-scopes are for client_credentials/],
    [
      ['--admin-scopes', 'admin:clients:write'],
      /--admin-scopes must be one of admin:users:read, admin:users:write/,
    ],
    [[], /say what to change/],
  ] as const)
    await t.rejects(run('clients', 'change', id, ...args), { code: 2, stderr: message }, args.join(' '))
  await t.rejects(run('clients', 'change', 'x', '--first-party'), { code: 1, stderr: /no such client/ })
  await t.rejects(run('clients', 'show', 'x'), { code: 1, stderr: /no such client/ })
  const events = await server.db.auditEvent.findMany({ where: { clientId: id } })
  t.strictSame(new Set(events.map(({ type }) => type)), new Set(['client_create', 'client_change']))
  for (const { actor } of events) t.match(actor, /^command line \(/)
})

t.test('a Spring service and a machine that manages users need nothing but these commands', async (t) => {
  const spring = 'https://spring.example.com'
  await run('resources', 'create', spring, '--scopes', 'read', '--alg', 'RS256', '--typ', 'JWT')
  const created = await run('clients', 'create', 'Robot', '--admin-scopes', 'admin:users:read')
  const [, id = '', secret = ''] = /^client_id (\S+)\nclient_secret (\S+)\n$/.exec(created) ?? []
  await run('clients', 'allow', id, '--resource', spring, '--scopes', 'read')
  const { body } = await post(server, '/oauth/token', { grant_type, resource: spring }, { id, secret })
  t.match(JSON.parse(Buffer.from(body.access_token.split('.')[0], 'base64url').toString()), {
    alg: 'RS256',
    typ: 'JWT',
  })
  const own = await post(
    server,
    '/oauth/token',
    { grant_type, resource: 'http://localhost:8080' },
    { id, secret },
  )
  t.equal((await server.call('GET', '/admin/users', { bearer: own.body.access_token })).status, 200)
  t.match(await run('clients', 'list'), `${spring}: read  admin:users:read`)
  t.equal(await run('resources', 'change', spring, '--alg', '', '--ttl', '60'), `${spring} is changed\n`)
  t.match(await run('resources', 'list'), `${spring}  read  60 s  JWT\n`)
  await t.rejects(run('resources', 'change', spring, '--alg', 'EdDSA'), {
    code: 1,
    stderr: /signs from 20.*run this again/,
  })
  await t.rejects(run('resources', 'change', spring), { code: 2, stderr: /say what to change/ })
  await t.rejects(run('resources', 'change', 'urn:x:y', '--ttl', '60'), {
    code: 1,
    stderr: /no such resource/,
  })
  await run('resources', 'delete', spring)
})

t.test('a client with keys has no secret, and private keys are refused', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const folder = t.testdir({})
  const keys = async (name: string, key: CryptoKey) => {
    await writeFile(join(folder, name), JSON.stringify({ keys: [await exportJWK(key)] }))
    return join(folder, name)
  }
  const file = await keys('public.json', publicKey)
  t.match(
    await run('clients', 'create', 'Robot', '--auth', 'private_key_jwt', '--jwks', file),
    /^client_id \S+\n$/,
  )
  const secret = await keys('private.json', privateKey)
  await t.rejects(run('clients', 'create', 'Robot', '--auth', 'private_key_jwt', '--jwks', secret), {
    code: 2,
    stderr: /has private keys/,
  })
  const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey.export({ format: 'jwk' })
  for (const [key, message] of [
    [weak, /RSA keys need 2048 bits/],
    [{ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }, /cannot be used/],
    [{ kty: 'oct' }, /cannot be used/],
  ] as const) {
    await writeFile(join(folder, 'unusable.json'), JSON.stringify({ keys: [key] }))
    const unusable = join(folder, 'unusable.json')
    await t.rejects(run('clients', 'create', 'Robot', '--auth', 'private_key_jwt', '--jwks', unusable), {
      code: 2,
      stderr: message,
    })
  }
})

t.test('what cannot be is refused, and changes nothing', async (t) => {
  await run('resources', 'create', 'urn:example:api', '--scopes', 'read')
  for (const [args, code, message] of [
    [['resources', 'create', 'api', '--scopes', 'read'], 2, /absolute URI/],
    [['resources', 'create', `${api}#x`, '--scopes', 'read'], 2, /without a fragment/],
    [['resources', 'create', 'http://localhost:8080/', '--scopes', 'read'], 2, /of this server itself/],
    [['resources', 'create', api, '--scopes', 'account'], 2, /cannot have account/],
    [['resources', 'create', api, '--scopes', 'a"b'], 2, /cannot have a"b/],
    [['resources', 'create', api, '--scopes', 'a', '--ttl', '601'], 2, /--ttl/],
    [['resources', 'create', api, '--scopes', 'a', '--typ', 'jwt'], 2, /--typ/],
    [
      ['resources', 'create', api, '--scopes', 'a', '--server', 'x'],
      2,
      /--server must be the id of a client/,
    ],
    [['resources', 'create', 'urn:example:api', '--scopes', 'a'], 1, /such a resource already/],
    [['resources', 'delete', api], 1, /no such resource/],
    [['clients', 'create', 'x', '--auth', 'basic'], 2, /--auth/],
    [['clients', 'create', 'x', '--auth', 'none'], 2, /--redirect-uris/],
    [
      ['clients', 'create', 'x', '--auth', 'none', '--grants', grant_type],
      2,
      /only if the client authenticates/,
    ],
    [['clients', 'create', 'x', '--auth', 'private_key_jwt'], 2, /--jwks/],
    [['clients', 'create', 'x', '--grants', 'password'], 2, /--grants/],
    [['clients', 'allow', 'x', '--resource', 'urn:example:api', '--scopes', 'read'], 1, /no such client/],
    [['clients', 'disable', 'x'], 1, /no such client/],
    [['clients', 'add-secret', 'x'], 1, /no such client/],
  ] as const)
    await t.rejects(run(...args), { code, stderr: message }, args.join(' '))
  t.equal(await server.db.resource.count(), 1)
  t.equal(await server.db.client.count({ where: { name: 'x' } }), 0)
})
