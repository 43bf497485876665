import t from 'tap'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'

t.test('the metadata names what is there, and only that', async (t) => {
  const { status, body, headers } = await server.call('GET', '/.well-known/oauth-authorization-server?x=1')
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'public, max-age=300')
  t.equal(body.issuer, issuer)
  t.strictSame(body.grant_types_supported, [
    'authorization_code',
    'refresh_token',
    'client_credentials',
    'urn:ietf:params:oauth:grant-type:device_code',
  ])
  t.strictSame((await server.call('GET', '/.well-known/openid-configuration')).body, body)
  for (const [name, url] of Object.entries(body).filter(([member]) => /_endpoint$|_uri$/.test(member))) {
    const { pathname, origin } = new URL(url as string)
    t.equal(origin, issuer)
    const method = ['jwks_uri', 'authorization_endpoint'].includes(name) ? 'GET' : 'POST'
    t.not((await server.call(method, pathname)).status, 404, name)
  }
})

t.test('the metadata of our own API leads to its authorization server', async (t) => {
  const { body } = await server.call('GET', '/.well-known/oauth-protected-resource')
  t.match(body, { resource: issuer, authorization_servers: [issuer], bearer_methods_supported: ['header'] })
})

t.test('the algorithms of id_tokens are those that sign', async (t) => {
  const algorithms = async () =>
    (await server.call('GET', '/.well-known/openid-configuration')).body.id_token_signing_alg_values_supported
  t.strictSame(await algorithms(), ['ES256'])
  await server.app.services.keyRing.ensure('RS256', { atOnce: true })
  t.strictSame((await algorithms()).sort(), ['ES256', 'RS256'])
})

t.test('every 401 and 403 of our own API leads to its metadata', async (t) => {
  const metadata = `resource_metadata="${issuer}/.well-known/oauth-protected-resource"`
  const challengeOf = async (path: string, bearer?: string) => {
    const { headers } = await server.call('GET', path, bearer ? { bearer } : {})
    return headers.get('www-authenticate')
  }
  t.equal(await challengeOf('/me'), `Bearer realm="ratchet", ${metadata}`)
  t.equal(await challengeOf('/me', 'x'), `Bearer realm="ratchet", error="invalid_token", ${metadata}`)
  const { access_token: bearer } = await server.login(await server.createAccount())
  const users = '/admin/users?query=a'
  t.equal(await challengeOf(users), `Bearer realm="ratchet", scope="admin:users:read", ${metadata}`)
  t.equal(await challengeOf(users, bearer), `Bearer realm="ratchet", scope="admin:users:read", ${metadata}`)
})
