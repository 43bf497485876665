import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import t from 'tap'
import { DEVICE_CODE } from '../../../../src/core/clients/clients.ts'
import { createDevice, createDeviceVisitor } from '../../../support/device.ts'
import { registrations } from '../../../support/oauth.ts'
import { movableClock, startServer } from '../../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const api = await registry.resource('read write')
const cli = await createDevice(server, registry, { [api]: 'read write' })
const confidential = await createDevice(server, registry, { [api]: 'read' }, { authMethod: 'client_secret' })
const account = await server.createAccount()

const toServer = (url: string, options?: object) => fetch(url.replace(issuer, server.url), options)

/** The OAuth error with which a library refuses to go on; '' if it does. */
const errorOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => '',
    ({ error }) => error,
  )

/** The user of a device answers. */
async function answer(userCode: string, decision: 'allow' | 'deny' = 'allow') {
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  await visitor.decide(await visitor.enter(userCode), decision)
  return visitor
}

t.test('openid-client begins, polls, refreshes and revokes, with DPoP and without', async (t) => {
  const execute = [openid.allowInsecureRequests]
  const options = { execute, [openid.customFetch]: toServer, algorithm: 'oauth2' } as const
  for (const client of [cli, confidential]) {
    const authentication = client === cli ? openid.None() : openid.ClientSecretBasic(client.secret)
    const config = await openid.discovery(new URL(issuer), client.id, undefined, authentication, options)
    for (const DPoP of [undefined, openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))]) {
      const device = await openid.initiateDeviceAuthorization(config, { scope: 'read' })
      t.match(device, { verification_uri: `${issuer}/device`, expires_in: 600, interval: 5 })
      t.match(device.user_code, /^[B-Z]{4}-[B-Z]{4}$/)
      t.equal(device.verification_uri_complete, `${issuer}/device?user_code=${device.user_code}`)
      await answer(device.user_code)
      // Its user has been quick: the library need not wait as long as it should.
      const quick = { ...device, interval: 0.01 }
      const tokens = await openid.pollDeviceAuthorizationGrant(config, quick, undefined, DPoP && { DPoP })
      t.match(tokens, { token_type: DPoP ? 'dpop' : 'bearer', scope: 'read', expires_in: 600 })
      const next = await openid.refreshTokenGrant(
        config,
        tokens.refresh_token ?? '',
        undefined,
        DPoP && { DPoP },
      )
      t.not(next.refresh_token, tokens.refresh_token)
      if (DPoP && client === cli)
        t.equal(await errorOf(openid.refreshTokenGrant(config, next.refresh_token ?? '')), 'invalid_grant')
      await openid.tokenRevocation(config, next.refresh_token ?? '')
      const ended = openid.refreshTokenGrant(config, next.refresh_token ?? '', undefined, DPoP && { DPoP })
      t.equal(await errorOf(ended), 'invalid_grant')
    }
    const refused = await openid.initiateDeviceAuthorization(config, { scope: 'read' })
    await answer(refused.user_code, 'deny')
    const polled = openid.pollDeviceAuthorizationGrant(config, { ...refused, interval: 0.01 })
    t.equal(await errorOf(polled), 'access_denied')
  }
})

t.test('oauth4webapi understands every answer', async (t) => {
  const as = await oauth.processDiscoveryResponse(
    new URL(issuer),
    await oauth.discoveryRequest(new URL(issuer), {
      algorithm: 'oauth2',
      [oauth.customFetch]: toServer,
      [oauth.allowInsecureRequests]: true,
    }),
  )
  t.equal(as.device_authorization_endpoint, `${issuer}/oauth/device_authorization`)
  t.ok(as.grant_types_supported?.includes(DEVICE_CODE))
  const client = { client_id: cli.id }
  const options = { [oauth.customFetch]: toServer, [oauth.allowInsecureRequests]: true }
  const asked = await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope: 'write' }, options)
  const device = await oauth.processDeviceAuthorizationResponse(as, client, asked)
  const poll = async () =>
    oauth.processDeviceCodeResponse(
      as,
      client,
      await oauth.deviceCodeGrantRequest(as, client, oauth.None(), device.device_code, options),
    )
  t.equal(await errorOf(poll()), 'authorization_pending')
  t.equal(await errorOf(poll()), 'slow_down')
  await answer(device.user_code)
  t.match(await poll(), { scope: 'write', token_type: 'bearer' })
  t.equal(await errorOf(poll()), 'invalid_grant')
})

t.test('a device that polls too often has to wait longer each time', async (t) => {
  const codes = await cli.begin()
  const error = async () => (await cli.poll(codes)).body.error
  const after = (ms: number) => {
    clock.advance(ms)
    return error()
  }
  t.equal(await error(), 'authorization_pending')
  t.equal(await after(5_000), 'authorization_pending')
  t.equal(await error(), 'slow_down')
  t.equal(await after(6_000), 'slow_down', 'now 10 s')
  t.equal(await after(15_000), 'authorization_pending', 'now 15 s')
  t.equal(await after(5_000), 'slow_down')
  await answer(codes.user_code)
  t.equal((await cli.poll(codes)).status, 200, 'an answer need not wait')
})

t.test('of polls at once after the answer, one gets tokens, and the others end nothing', async (t) => {
  for (let round = 0; round < 3; round += 1) {
    const codes = await cli.begin()
    await answer(codes.user_code)
    const answers = await Promise.all(Array.from({ length: 20 }, () => cli.poll(codes)))
    const good = answers.filter(({ status }) => status === 200)
    t.equal(good.length, 1)
    for (const { status, body } of answers)
      if (status !== 200) t.match({ status, body }, { status: 400, body: { error: 'invalid_grant' } })
    const refresh = { grant_type: 'refresh_token', refresh_token: good[0]?.body.refresh_token }
    t.equal((await cli.call('/oauth/token', refresh)).status, 200)
  }
})

t.test('a device code is bound to its client and resource, and used up by neither', async (t) => {
  const stranger = await createDevice(server, registry, { [api]: 'read' })
  const codes = await cli.begin()
  await answer(codes.user_code)
  t.match((await stranger.poll(codes)).body, { error: 'invalid_grant' })
  t.match((await confidential.poll(codes)).body, { error: 'invalid_grant' })
  t.match((await cli.poll({ device_code: `${codes.device_code}x` })).body, { error: 'invalid_grant' })
  t.match((await cli.poll({ device_code: codes.user_code })).body, { error: 'invalid_grant' })
  t.match((await cli.poll(codes, { resource: 'https://elsewhere.example' })).body, {
    error: 'invalid_target',
  })
  t.match((await cli.poll({ device_code: '' })).body, { error: 'invalid_request' })
  t.equal((await cli.poll(codes, { resource: api })).status, 200)
})

t.test('what ended meanwhile gives nothing: a sign-out, a withdrawal, a new password, time', async (t) => {
  const person = await server.createAccount()
  const begun = async () => {
    const codes = await cli.begin({ scope: 'read offline_access' })
    const visitor = createDeviceVisitor(server)
    await visitor.open(person)
    await visitor.decide(await visitor.enter(codes.user_code), 'allow')
    const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    return { codes, headers: { cookie, origin: issuer, 'content-type': 'application/json' } }
  }
  const signedOut = await begun()
  await server.call('POST', '/auth/logout', { body: {}, headers: signedOut.headers })
  t.match((await cli.poll(signedOut.codes)).body, { error: 'invalid_grant' })

  const withdrawn = await begun()
  const { access_token: bearer } = await server.login(person)
  t.equal((await server.call('DELETE', `/auth/grants?client_id=${cli.id}`, { bearer })).status, 204)
  t.match((await cli.poll(withdrawn.codes)).body, { error: 'invalid_grant' })

  const changed = await begun()
  const passwords = { current_password: person.password, new_password: 'another quite unusual phrase' }
  t.equal((await server.call('POST', '/auth/change-password', { body: passwords, bearer })).status, 204)
  t.match((await cli.poll(changed.codes)).body, { error: 'invalid_grant' })
  person.password = passwords.new_password

  const late = await begun()
  clock.advance(601_000)
  t.match((await cli.poll(late.codes)).body, { error: 'expired_token' })
})

t.test('the endpoint refuses who may not ask, and what', async (t) => {
  const robot = await createDevice(
    server,
    registry,
    { [api]: 'read' },
    { authMethod: 'client_secret', grantTypes: ['client_credentials'] },
  )
  t.match(await robot.ask(), { status: 400, body: { error: 'unauthorized_client' } })
  t.match((await robot.poll({ device_code: 'x' })).body, { error: 'unauthorized_client' })
  t.match((await cli.ask({ scope: 'admin' })).body, { error: 'invalid_scope' })
  t.match((await cli.ask({ resource: 'https://elsewhere.example' })).body, { error: 'invalid_target' })
  t.match(await cli.ask({ client_id: 'nobody' }), { status: 401, body: { error: 'invalid_client' } })
  const wrong = await confidential.ask({ client_id: confidential.id, client_secret: 'x' })
  t.equal(wrong.status, 400)
  const { headers } = await cli.ask()
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('access-control-allow-origin'), '*')
})

t.test('a client fills no table: its requests from one address are bounded', async (t) => {
  const busy = await createDevice(server, registry, { [api]: 'read' })
  const statuses: number[] = []
  for (let count = 0; count < 101; count += 1) statuses.push((await busy.ask()).status)
  t.strictSame([...new Set(statuses.slice(0, 100))], [200])
  t.equal(statuses[100], 429)
  t.match((await busy.ask()).body, { error: 'temporarily_unavailable' })
  t.equal((await cli.ask()).status, 200, 'another client is not refused')
  clock.advance(601_000)
  t.equal((await busy.ask()).status, 200)
})

t.test('with openid the device learns who its user is', async (t) => {
  const codes = await cli.begin({ scope: 'openid email' })
  await answer(codes.user_code)
  const { status, body } = await cli.poll(codes)
  t.equal(status, 200)
  const { sub } = decodeJwt(body.access_token)
  t.match(decodeJwt(body.id_token), { iss: issuer, aud: cli.id, sub, amr: ['pwd'], auth_time: Number })
})

t.test('codes work on while the secrets of the server change', async (t) => {
  const codes = await cli.begin()
  const secrets = `${'n'.repeat(40)},a-secret-for-tests-of-at-least-32-bytes-the-same-for-all`
  const { databaseUrl } = server
  const renewed = await startServer(t, { databaseUrl, clock, env: { APP_SECRETS: secrets } })
  const visitor = createDeviceVisitor(renewed)
  await visitor.open(account)
  const page = await visitor.enter(codes.user_code)
  t.equal((await visitor.decide(page, 'allow')).status, 200)
  t.equal((await cli.poll(codes)).status, 200)
})

t.test('no code is stored as it is', async (t) => {
  const codes = await cli.begin()
  const rows = JSON.stringify(await registry.db.deviceGrant.findMany(), (_key, value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
  )
  for (const secret of [codes.device_code, codes.user_code, codes.user_code.replace('-', '')])
    t.notMatch(rows, secret)
})
