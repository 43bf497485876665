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
