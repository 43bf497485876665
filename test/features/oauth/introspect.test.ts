import * as openid from 'openid-client'
import t from 'tap'
import { setDisabled } from '../../../src/core/clients/clients.ts'
import { eventually } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { movableClock, startServer } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const issuer = 'http://localhost:8080'
const { db, resource, client } = registrations(server)
const server1 = await client({})
const api = await resource('read', { serverId: server1.id })
const server2 = await client({})
const other = await resource('read', { typ: 'JWT', serverId: server2.id })
const robot = await client({ [api]: 'read', [other]: 'read' })

async function tokenFor(identifier: string, who = robot): Promise<string> {
  const parameters = { grant_type: 'client_credentials', resource: identifier }
  return (await post(server, '/oauth/token', parameters, who)).body.access_token
}
const introspect = (token: string, who = server1) => post(server, '/oauth/introspect', { token }, who)
const INACTIVE = { active: false }

t.test('an API learns what a token for it allows', async (t) => {
  const token = await tokenFor(api)
  const { status, body, headers } = await introspect(token)
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(body, {
    active: true,
    iss: issuer,
    aud: api,
    sub: robot.id,
    client_id: robot.id,
    scope: 'read',
    token_type: 'Bearer',
  })
  t.match((await introspect(await tokenFor(other), server2)).body, { active: true, aud: other })
  const config = await openid.discovery(
    new URL(issuer),
    server1.id,
    undefined,
    openid.ClientSecretBasic(server1.secret),
    {
      execute: [openid.allowInsecureRequests],
      [openid.customFetch]: (url: string, options?: object) =>
        fetch(url.replace(issuer, server.url), options),
      algorithm: 'oauth2',
    },
  )
  t.match(await openid.tokenIntrospection(config, token), { active: true, scope: 'read' })
})

t.test('everybody else, and every other text, gets exactly { active: false }', async (t) => {
  const token = await tokenFor(api)
  const account = await server.createAccount()
  const { access_token: own, refresh_token: refresh } = await server.login(account)
  const [header, payload, signature] = token.split('.') as [string, string, string]
  for (const [text, who] of [
    [token, server2],
    [token, robot],
    [await tokenFor(other), server1],
    [own, server1],
    [refresh, server1],
    [`${header}.${payload}.${signature.slice(0, -4)}AAAA`, server1],
    [`${header}.${payload}.`, server1],
    [`${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`, server1],
    ['x', server1],
    ['x'.repeat(9_000), server1],
  ] as const)
    t.strictSame((await introspect(text, who)).body, INACTIVE, text.slice(0, 30))
  t.match(await post(server, '/oauth/introspect', {}, server1), {
    status: 400,
    body: { error: 'invalid_request' },
  })
  t.match(await post(server, '/oauth/introspect', { token }), {
    status: 401,
    body: { error: 'invalid_client' },
  })
})

t.test('a token ends with its time, and with its client', async (t) => {
  const mortal = await client({ [api]: 'read' })
  const token = await tokenFor(api, mortal)
  t.match((await introspect(token)).body, { active: true })
  await setDisabled(db, new Date(), mortal.id, true)
  await eventually(async () => (await introspect(token)).body.active === false)
  const expiring = await tokenFor(api)
  // The rest of the ten minutes is for a busy machine.
  clock.advance(540_000)
  t.match((await introspect(expiring)).body, { active: true })
  clock.advance(61_000)
  t.strictSame((await introspect(expiring)).body, INACTIVE)
})
