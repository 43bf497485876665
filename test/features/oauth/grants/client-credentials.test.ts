import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import * as openid from 'openid-client'
import t from 'tap'
import { allow } from '../../../../src/core/clients/clients.ts'
import { eventually } from '../../../support/eventually.ts'
import { post, registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'
const { transact, resource, client } = registrations(server)
const api = await resource('read write', { tokenTtl: 300 })
const other = await resource('read')
const robot = await client({ [api]: 'read write' })
const grant_type = 'client_credentials'
const token = (parameters: Record<string, string>, who = robot) =>
  post(server, '/oauth/token', { grant_type, ...parameters }, who)
/** What the issuer's URL stands for in these tests is the server on its own port. */
const toServer = (url: string, options?: object) => fetch(url.replace(issuer, server.url), options)

t.test('a client gets a token that the API can verify by the keys of the server', async (t) => {
  const { status, body, headers } = await token({})
  t.equal(status, 200)
  t.match(body, { token_type: 'Bearer', expires_in: 300, scope: 'read write' })
  t.strictSame(Object.keys(body), ['access_token', 'token_type', 'expires_in', 'scope'])
  t.equal(headers.get('cache-control'), 'no-store')
  const keys = createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`))
  const { payload } = await jwtVerify(body.access_token, keys, { issuer, audience: api, typ: 'at+jwt' })
  t.match(payload, { sub: robot.id, client_id: robot.id, scope: 'read write' })
  t.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300)
  t.notOk('sid' in payload || 'roles' in payload)
  t.equal(
    (await server.call('GET', '/me', { bearer: body.access_token })).status,
    401,
    'our own API is another',
  )
})

t.test('openid-client works from the metadata alone, with each way to authenticate', async (t) => {
  const execute = [openid.allowInsecureRequests]
  const options = { execute, [openid.customFetch]: toServer, algorithm: 'oauth2' } as const
  for (const authentication of [
    openid.ClientSecretBasic(robot.secret),
    openid.ClientSecretPost(robot.secret),
  ]) {
    const config = await openid.discovery(new URL(issuer), robot.id, undefined, authentication, options)
    const tokens = await openid.clientCredentialsGrant(config, { scope: 'read', resource: api })
    t.match(tokens, { token_type: 'bearer', scope: 'read', expires_in: 300 })
  }
})

t.test('oauth4webapi works from the metadata alone', async (t) => {
  const options = { [oauth4webapi.allowInsecureRequests]: true, [oauth4webapi.customFetch]: toServer }
  const discovered = await oauth4webapi.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' })
  const as = await oauth4webapi.processDiscoveryResponse(new URL(issuer), discovered)
  const answer = await oauth4webapi.clientCredentialsGrantRequest(
    as,
    { client_id: robot.id },
    oauth4webapi.ClientSecretBasic(robot.secret),
    { scope: 'write' },
    options,
  )
  const tokens = await oauth4webapi.processClientCredentialsResponse(as, { client_id: robot.id }, answer)
  t.match(tokens, { scope: 'write' })
})

t.test('scopes and resources are those that the client may ask for', async (t) => {
  const both = await client({ [api]: 'read', [other]: 'read' })
  for (const [who, parameters, expected] of [
    [robot, { scope: 'read' }, 'read'],
    [robot, { scope: 'write read write' }, 'write read'],
    [robot, { scope: '' }, 'read write'],
    [robot, { resource: api }, 'read write'],
    [both, { resource: other }, 'read'],
    [robot, { scope: 'read admin' }, 'invalid_scope'],
    [robot, { scope: ' read' }, 'invalid_scope'],
    [robot, { scope: 'read  write' }, 'invalid_scope'],
    [robot, { scope: 'account' }, 'invalid_scope'],
    [both, { resource: api, scope: 'write' }, 'invalid_scope'],
    [both, {}, 'invalid_target'],
    [robot, { resource: other }, 'invalid_target'],
    [robot, { resource: `${api}/` }, 'invalid_target'],
    [robot, { resource: issuer }, 'invalid_target'],
    [await client({}), {}, 'invalid_target'],
  ] as const) {
    const { status, body } = await token(parameters, who)
    t.equal(body.scope ?? body.error, expected, JSON.stringify(parameters))
    t.equal(status, body.scope === undefined ? 400 : 200)
  }
  await transact((tx) => allow(tx, { clientId: both.id, identifier: other, scopes: [] }))
  await eventually(async () => (await token({}, both)).body.scope === 'read')
})

t.test('a client that may not, a grant that is not there, and a request that is none', async (t) => {
  const silent = await client({ [api]: 'read' }, { grantTypes: [] })
  t.match((await token({}, silent)).body, { error: 'unauthorized_client' })
  for (const [body, error] of [
    ['', 'invalid_request'],
    ['grant_type=', 'invalid_request'],
    ['grant_type=password&username=a&password=b', 'unsupported_grant_type'],
    ['grant_type=constructor', 'unsupported_grant_type'],
    [`grant_type=${grant_type}&grant_type=${grant_type}`, 'invalid_request'],
    [`grant_type=${grant_type}&foo=1&foo=2`, 'invalid_request'],
    [`grant_type=${grant_type}&resource=${api}&resource=${other}`, 'invalid_target'],
    [`grant_type=${grant_type}&__proto__=x&scope=read`, undefined],
  ] as const) {
    const answer = await post(server, '/oauth/token', body, robot)
    t.equal(answer.body.error, error, body)
    t.equal(answer.status, error ? 400 : 200, body)
    t.match(answer.headers.get('content-type'), /^application\/json/)
    t.equal(answer.headers.get('cache-control'), 'no-store')
  }
  const json = await server.call('POST', '/oauth/token', { body: { grant_type } })
  t.match(json, { status: 415, body: { error: 'invalid_request' } })
  const large = await post(server, '/oauth/token', `x=${'y'.repeat(20_000)}`, robot)
  t.match(large, { status: 413, body: { error: 'invalid_request' } })
  t.equal((await server.call('GET', '/oauth/token')).status, 405)
})

t.test('every token and refusal of a client is an event', async (t) => {
  const own = await client({ [api]: 'read' })
  await token({}, own)
  await token({ scope: 'x' }, own)
  await token({}, { ...own, secret: 'wrong' })
  const events = () => server.db.auditEvent.findMany({ where: { clientId: own.id }, orderBy: { id: 'asc' } })
  await eventually(async () => (await events()).length === 3)
  t.match(await events(), [
    { type: 'client_token', outcome: 'success', reason: 'client_credentials', userId: null },
    { type: 'client_token', outcome: 'failure', reason: 'invalid_scope' },
    { type: 'client_authentication', outcome: 'failure', reason: 'wrong_secret' },
  ])
})
