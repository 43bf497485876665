import { decodeJwt } from 'jose'
import * as openid from 'openid-client'
import t from 'tap'
import { CALLBACK, createApp, pkce } from '../../../support/authorization.ts'
import { eventually } from '../../../support/eventually.ts'
import { post, registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'
import { createVisitor, parametersOf } from '../../../support/visitor.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const api = await registry.resource('read write')
const app = await createApp(server, registry, { [api]: 'read write' })
const spa = await createApp(server, registry, { [api]: 'read' }, { authMethod: 'none', name: 'Notes' })
const account = await server.createAccount()

const toServer = (url: string, options?: object) => fetch(url.replace(issuer, server.url), options)

t.test('openid-client gets tokens for a user, refreshes and revokes them', async (t) => {
  const execute = [openid.allowInsecureRequests]
  const options = { execute, [openid.customFetch]: toServer, algorithm: 'oauth2' } as const
  for (const client of [app, spa]) {
    const authentication = client === spa ? openid.None() : openid.ClientSecretBasic(app.secret)
    const config = await openid.discovery(new URL(issuer), client.id, undefined, authentication, options)
    const verifier = openid.randomPKCECodeVerifier()
    const state = openid.randomState()
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: 'read offline_access',
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    })
    const visitor = createVisitor(server)
    const asked = await visitor.signIn(await visitor.open(url.pathname + url.search), account)
    t.match(asked.text, 'read')
    const back = await visitor.decide(asked, 'allow')
    t.match(parametersOf(back), { state, iss: issuer })
    const checks = { pkceCodeVerifier: verifier, expectedState: state }
    const tokens = await openid.authorizationCodeGrant(
      config,
      new URL(back.headers.get('location') ?? ''),
      checks,
    )
    t.match(tokens, { token_type: 'bearer', scope: 'read offline_access', expires_in: 600 })
    const claims = decodeJwt(tokens.access_token)
    t.match(claims, {
      iss: issuer,
      aud: api,
      client_id: client.id,
      scope: 'read offline_access',
      amr: ['pwd'],
    })
    t.not(claims.sub, client.id)
    t.equal((await server.call('GET', '/me', { bearer: tokens.access_token })).status, 401)

    const next = await openid.refreshTokenGrant(config, tokens.refresh_token ?? '', { scope: 'read' })
    t.not(next.refresh_token, tokens.refresh_token)
    t.equal(next.scope, 'read')
    await openid.tokenRevocation(config, next.refresh_token ?? '')
    await t.rejects(openid.refreshTokenGrant(config, next.refresh_token ?? ''), /./)
  }
})

t.test('a consent is remembered, and a larger request asks again', async (t) => {
  const own = await createApp(server, registry, { [api]: 'read write' })
  const visitor = createVisitor(server)
  await own.code(account, { scope: 'read' }, visitor)
  const silent = await visitor.open(own.url('x'.repeat(43), { scope: 'read' }))
  t.equal(silent.status, 303)
  t.ok(parametersOf(silent).code)
  t.equal((await visitor.open(own.url('x'.repeat(43), { scope: 'read write' }))).status, 200)
  t.equal((await visitor.open(own.url('x'.repeat(43), { scope: 'read', prompt: 'consent' }))).status, 200)
})

t.test('a code works once, and its second use ends what it gave', async (t) => {
  const given = await app.code(account)
  const answers = await Promise.all(Array.from({ length: 20 }, () => app.redeem(given)))
  const good = answers.filter(({ status }) => status === 200)
  t.equal(good.length, 1)
  for (const { status, body } of answers) if (status !== 200) t.match(body, { error: 'invalid_grant' })
  await eventually(
    async () => (await app.refresh(good[0]?.body.refresh_token)).body.error === 'invalid_grant',
  )
})

t.test('who has lost the answer to a code starts again, and the user is not asked', async (t) => {
  for (const client of [app, spa]) {
    const given = await client.code(account, { scope: 'read' })
    const lost = await client.redeem(given)
    const retry = await client.redeem(given)
    t.match(retry, { status: 400, body: { error: 'invalid_grant' } })
    t.match(retry.body.error_description, /was used before: what it gave has ended/)
    t.match((await client.refresh(lost.body.refresh_token)).body, { error: 'invalid_grant' })
    const claims = decodeJwt(lost.body.access_token)
    const ended = await server.db.session.findUniqueOrThrow({ where: { id: String(claims.sid) } })
    t.equal(ended.endedReason, 'code_reused')
    const { verifier, challenge } = pkce()
    const again = parametersOf(await given.visitor.open(client.url(challenge, { scope: 'read' })))
    t.equal((await client.redeem({ code: again.code ?? '', verifier })).status, 200)
  }
})

t.test('a code is bound to its client, redirect URI and verifier', async (t) => {
  const given = await app.code(account)
  const stranger = await createApp(server, registry, { [api]: 'read write' })
  t.match((await stranger.redeem(given)).body, { error: 'invalid_grant' })
  for (const wrong of [
    { redirect_uri: `${CALLBACK}/` },
    { code_verifier: 'y'.repeat(43) },
    { code_verifier: '' },
    { code: `${given.code}x` },
  ]) {
    const { status, body } = await app.redeem(given, wrong)
    t.match({ status, body }, { status: 400, body: { error: 'invalid_grant' } }, String(Object.keys(wrong)))
  }
  t.equal((await app.redeem(given)).status, 200, 'a refusal does not use it up')
})

t.test('a code of a session that has ended gives nothing', async (t) => {
  const given = await app.code(account)
  const cookie = [...given.visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const headers = { cookie, origin: issuer, 'content-type': 'application/json' }
  t.equal((await server.call('POST', '/auth/logout', { body: {}, headers })).status, 204)
  t.match((await app.redeem(given)).body, { error: 'invalid_grant' })
})

t.test('the user sees what was allowed, and takes it back', async (t) => {
  const own = await createApp(server, registry, { [api]: 'read' })
  const { body: tokens } = await own.redeem(await own.code(account))
  const { access_token: bearer } = await server.login(account)
  const listed = (await server.call('GET', '/auth/grants', { bearer })).body.grants
  const mine = listed.find(({ client_id }: { client_id: string }) => client_id === own.id)
  t.match(mine, {
    client_name: 'Photo Printer',
    permissions: [{ resource: api, scopes: ['read'] }],
    live_sessions: 1,
  })
  const withdrawn = await server.call('DELETE', `/auth/grants?client_id=${own.id}`, { bearer })
  t.equal(withdrawn.status, 204)
  t.match((await own.refresh(tokens.refresh_token)).body, { error: 'invalid_grant' })
  t.equal((await server.call('DELETE', `/auth/grants?client_id=${own.id}`, { bearer })).status, 404)
  t.equal((await server.call('DELETE', '/auth/grants?client_id=%00', { bearer })).status, 400)
  t.equal((await post(server, '/oauth/introspect', { token: tokens.access_token }, own)).body.active, false)
})

t.test('a code of what was taken back gives nothing, unless it is allowed again', async (t) => {
  const own = await createApp(server, registry, { [api]: 'read write' })
  const { access_token: bearer } = await server.login(account)
  const withdraw = () => server.call('DELETE', `/auth/grants?client_id=${own.id}`, { bearer })
  for (const scope of ['read offline_access', 'read']) {
    const given = await own.code(account, { scope })
    t.equal((await withdraw()).status, 204)
    t.match((await own.redeem(given)).body, { error: 'invalid_grant' })
    t.match((await own.redeem(given)).body, { error: 'invalid_grant' })
  }
  const [earlier, later] = [
    await own.code(account, { scope: 'write' }),
    await own.code(account, { scope: 'read' }),
  ]
  await withdraw()
  const given = await own.code(account, { scope: 'read' })
  t.match((await own.redeem(earlier)).body, { error: 'invalid_grant' }, 'more than is allowed now')
  t.equal((await own.redeem(later)).status, 200)
  t.equal((await own.redeem(given)).status, 200)
})

t.test('whatever comes first, nothing of a client outlives a withdrawal', async (t) => {
  const own = await createApp(server, registry, { [api]: 'read' })
  const { access_token: bearer } = await server.login(account)
  for (let round = 0; round < 10; round += 1) {
    const given = await own.code(account, { scope: 'read' })
    const withdraw = server.call('DELETE', `/auth/grants?client_id=${own.id}`, { bearer })
    const [redeemed] = await Promise.all([own.redeem(given), withdraw])
    if (redeemed.status === 200)
      t.match((await own.refresh(redeemed.body.refresh_token)).body, { error: 'invalid_grant' })
  }
})
