import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import * as openid from 'openid-client'
import t from 'tap'
import { createAdministrator } from '../../support/administrator.ts'
import { CALLBACK, createApp } from '../../support/authorization.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'
import { createVisitor } from '../../support/visitor.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const api = await registry.resource('read')
const app = await createApp(server, registry, { [api]: 'read' })
const account = await server.createAccount()
await server.app.services.keyRing.ensure('RS256', { atOnce: true })

const toServer = (url: string, options?: object) => fetch(url.replace(issuer, server.url), options)
const halfHash = (text: string, hash: string) => {
  const digest = createHash(hash).update(text).digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}
const userinfo = (authorization?: string, method = 'GET', headers: Record<string, string> = {}) =>
  server.call(method, '/oauth/userinfo', {
    headers: { ...headers, ...(authorization ? { authorization } : {}) },
  })
const challengeIn = ({ headers }: { headers: Headers }) => headers.get('www-authenticate')

/** What openid-client knows of the server. */
const discover = (client: { id: string; secret: string }) =>
  openid.discovery(new URL(issuer), client.id, undefined, openid.ClientSecretBasic(client.secret), {
    execute: [openid.allowInsecureRequests],
    [openid.customFetch]: toServer,
    algorithm: 'oidc',
  })

t.test('openid-client signs a user in, reads the claims and refreshes', async (t) => {
  for (const idTokenAlg of [null, 'RS256'] as const) {
    const client = await createApp(server, registry, { [api]: 'read' }, { idTokenAlg })
    const config = await discover(client)
    const metadata = config.serverMetadata()
    t.same(metadata.userinfo_endpoint, `${issuer}/oauth/userinfo`)
    t.ok(metadata.id_token_signing_alg_values_supported?.includes(idTokenAlg ?? 'ES256'))
    const verifier = openid.randomPKCECodeVerifier()
    const nonce = openid.randomNonce()
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: 'openid profile email offline_access',
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      nonce,
    })
    const visitor = createVisitor(server)
    const asked = await visitor.signIn(await visitor.open(url.pathname + url.search), account)
    const back = await visitor.decide(asked, 'allow')
    const tokens = await openid.authorizationCodeGrant(config, new URL(back.headers.get('location') ?? ''), {
      pkceCodeVerifier: verifier,
      expectedNonce: nonce,
      idTokenExpected: true,
      maxAge: 300,
    })
    const claims = tokens.claims()
    const access = decodeJwt(tokens.access_token)
    t.match(claims, {
      iss: issuer,
      sub: access.sub,
      aud: client.id,
      nonce,
      sid: access.sid,
      acr: 'urn:ratchet:1fa',
      amr: ['pwd'],
      at_hash: halfHash(tokens.access_token, 'sha256'),
    })
    t.type(claims?.auth_time, 'number')
    t.equal(decodeProtectedHeader(tokens.id_token ?? '').alg, idTokenAlg ?? 'ES256')

    const info = await openid.fetchUserInfo(config, tokens.access_token, claims?.sub ?? '')
    t.strictSame(
      { ...info, updated_at: typeof info.updated_at },
      {
        sub: claims?.sub,
        email: account.email,
        email_verified: true,
        name: 'Ada',
        ...(info.locale ? { locale: info.locale } : {}),
        updated_at: 'number',
      },
    )

    const next = await openid.refreshTokenGrant(config, tokens.refresh_token ?? '')
    const again = next.claims()
    t.match(again, { sub: claims?.sub, sid: claims?.sid, auth_time: claims?.auth_time, aud: client.id })
    t.notOk('nonce' in (again ?? {}), 'OpenID Connect Core 1.0 §12.2')
    const narrow = await openid.refreshTokenGrant(config, next.refresh_token ?? '', { scope: 'profile' })
    t.equal(narrow.id_token, undefined)
    t.match(challengeIn(await userinfo(`Bearer ${narrow.access_token}`)), 'error="insufficient_scope"')
  }
})

t.test('oauth4webapi reads the claims with a token that is bound to a key', async (t) => {
  const as = await oauth4webapi
    .discoveryRequest(new URL(issuer), {
      [oauth4webapi.customFetch]: toServer,
      [oauth4webapi.allowInsecureRequests]: true,
    })
    .then((response) => oauth4webapi.processDiscoveryResponse(new URL(issuer), response))
  const client: oauth4webapi.Client = { client_id: app.id }
  const options = { [oauth4webapi.customFetch]: toServer, [oauth4webapi.allowInsecureRequests]: true }
  const keys = await oauth4webapi.generateKeyPair('ES256')
  const DPoP = oauth4webapi.DPoP(client, keys)
  const given = await app.code(account, { scope: 'openid email' })
  const parameters = new URLSearchParams({ code: given.code, iss: issuer, state: 'a state' })
  const authentication = oauth4webapi.ClientSecretBasic(app.secret)
  const redeem = () =>
    oauth4webapi.authorizationCodeGrantRequest(
      as,
      client,
      authentication,
      oauth4webapi.validateAuthResponse(as, client, parameters, 'a state'),
      CALLBACK,
      given.verifier,
      { ...options, DPoP },
    )
  const process = async () => oauth4webapi.processAuthorizationCodeResponse(as, client, await redeem())
  const tokens = await process().catch((error) => {
    if (oauth4webapi.isDPoPNonceError(error)) return process()
    throw error
  })
  t.equal(tokens.token_type, 'dpop')
  const { sub = '' } = oauth4webapi.getValidatedIdTokenClaims(tokens) ?? {}
  const read = async () => {
    const response = await oauth4webapi.userInfoRequest(as, client, tokens.access_token, { ...options, DPoP })
    return oauth4webapi.processUserInfoResponse(as, client, sub, response)
  }
  t.match(await read(), { sub, email: account.email })

  // A handle of the same key that has no nonce yet is asked for one, as RFC 9449 §9 says.
  const fresh = oauth4webapi.DPoP(client, keys)
  const first = await oauth4webapi
    .userInfoRequest(as, client, tokens.access_token, { ...options, DPoP: fresh })
    .then((response) => oauth4webapi.processUserInfoResponse(as, client, sub, response))
    .catch((error) => error)
  t.ok(oauth4webapi.isDPoPNonceError(first))
  const stolen = await userinfo(`Bearer ${tokens.access_token}`)
  t.equal(stolen.status, 401)
  t.match(challengeIn(stolen), /^DPoP .*error="invalid_token"/)
  t.match(challengeIn(await userinfo(`DPoP ${tokens.access_token}`)), /^DPoP .*error="invalid_dpop_proof"/)
  const other = oauth4webapi.DPoP(client, await oauth4webapi.generateKeyPair('ES256'))
  const ask = () => oauth4webapi.userInfoRequest(as, client, tokens.access_token, { ...options, DPoP: other })
  await ask()
    .then((response) => oauth4webapi.processUserInfoResponse(as, client, sub, response))
    .catch(() => {})
  t.equal((await ask()).status, 401, 'another key')
})

t.test('a token for an API reads the claims too, if openid was granted with it', async (t) => {
  const { body } = await app.redeem(await app.code(account, { scope: 'openid read' }))
  t.equal(decodeJwt(body.access_token).aud, api)
  const answer = await userinfo(`Bearer ${body.access_token}`, 'POST')
  t.match(answer, { status: 200, body: { sub: decodeJwt(body.id_token).sub } })
  t.strictSame(Object.keys(answer.body), ['sub'])
  t.equal(answer.headers.get('access-control-allow-origin'), '*')
  t.equal(answer.headers.get('cache-control'), 'no-store')
})

t.test('userinfo refuses every other token, and says how', async (t) => {
  const none = await userinfo()
  t.equal(none.status, 401)
  t.match(challengeIn(none), /^Bearer realm="ratchet", DPoP realm="ratchet", algs="ES256 /)
  t.notMatch(challengeIn(none), 'error')

  const { access_token: ofUser } = await server.login(account)
  const { body: tokens } = await app.redeem(await app.code(account, { scope: 'openid' }))
  const { access_token: good, id_token: idToken } = tokens
  const [, payload] = good.split('.')
  const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`
  const symmetric = await new SignJWT(decodeJwt(good))
    .setProtectedHeader({ ...decodeProtectedHeader(good), alg: 'HS256' })
    .sign(new TextEncoder().encode('a secret of thirty-two characters'))
  for (const [what, token] of Object.entries({
    ofUser,
    idToken,
    unsigned,
    symmetric,
    garbage: 'x',
    refresh: tokens.refresh_token,
  })) {
    const answer = await userinfo(`Bearer ${token}`)
    t.equal(answer.status, 401, what)
    t.equal(challengeIn(answer), 'Bearer realm="ratchet", error="invalid_token"', what)
  }
  t.equal((await userinfo(`Basic ${good}`)).status, 401)
  t.equal((await server.call('GET', `/oauth/userinfo?access_token=${good}`)).status, 401, 'not in the query')

  const robot = await registry.client({ [api]: 'read' })
  const own = await post(server, '/oauth/token', { grant_type: 'client_credentials' }, robot)
  const { body: plain } = await app.redeem(await app.code(account, { scope: 'read' }))
  for (const token of [own.body.access_token, plain.access_token]) {
    const answer = await userinfo(`Bearer ${token}`)
    t.match(answer, { status: 403, body: { code: 'insufficient_scope' } })
    t.equal(challengeIn(answer), 'Bearer realm="ratchet", error="insufficient_scope", scope="openid"')
  }

  t.equal((await userinfo(`Bearer ${good}`)).status, 200)
  await post(server, '/oauth/revoke', { token: tokens.refresh_token }, app)
  t.match(challengeIn(await userinfo(`Bearer ${good}`)), 'error="invalid_token"', 'revoked')
})

t.test('an id_token opens nothing, and no access token is one', async (t) => {
  const plain = await registry.resource('read', { typ: 'JWT' })
  const own = await createApp(server, registry, { [plain]: 'read' })
  const { body } = await own.redeem(await own.code(account, { scope: 'openid read' }))
  t.equal((await server.call('GET', '/me', { bearer: body.id_token })).status, 401)
  t.strictSame((await post(server, '/oauth/introspect', { token: body.id_token }, own)).body, {
    active: false,
  })
  const { idTokens } = server.app.services
  t.equal(await idTokens.identify(body.access_token), null)
  t.match(await idTokens.identify(body.id_token), { clientId: own.id, userId: decodeJwt(body.id_token).sub })
})

t.test('the audience of an id_token, and userinfo, are never that of a resource', async (t) => {
  const { bearer } = await createAdministrator(server)
  const id = 'https://app.example.com/client.json'
  await server.db.client.create({
    data: { id, name: 'x', authMethod: 'none', grantTypes: [], createdAt: new Date(), updatedAt: new Date() },
  })
  for (const identifier of [app.id, id, `${issuer}/oauth/userinfo`, `${issuer}/OAuth/Userinfo/`]) {
    const answer = await server.post('/admin/resources', { identifier, scopes: ['read'] }, { bearer })
    t.match(answer.body, { code: 'validation_failed', errors: [{ pointer: '/identifier' }] }, identifier)
  }
})
