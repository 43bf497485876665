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
    [{ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }, /no JWK set of public keys/],
    [{ kty: 'oct' }, /no JWK set of public keys/],
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
