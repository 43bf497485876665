import * as oauth from 'oauth4webapi'
import t from 'tap'
import { CALLBACK, createApp } from '../../../support/authorization.ts'
import { registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'
import { createVisitor } from '../../../support/visitor.ts'

const server = await startServer(t)
const issuer = new URL('http://localhost:8080')
const registry = registrations(server)
const backend = await registry.client({})
const api = await registry.resource('read write', { serverId: backend.id })
const account = await server.createAccount()

const toServer = (url: string, init?: object) => fetch(url.replace(issuer.origin, server.url), init)
const options = { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: toServer }
const discovered = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
const as = await oauth.processDiscoveryResponse(issuer, discovered)

const apps = {
  'a public client': await createApp(server, registry, { [api]: 'read write' }, { authMethod: 'none' }),
  'a client with a secret': await createApp(server, registry, { [api]: 'read write' }),
}

/** A client of the library, and what it does by the library alone. */
function library(name: keyof typeof apps) {
  const app = apps[name]
  const client = { client_id: app.id }
  const authentication = name === 'a public client' ? oauth.None() : oauth.ClientSecretBasic(app.secret)

  async function getTokens(scope: string, more: object = {}): Promise<oauth.TokenEndpointResponse> {
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const url = new URL(as.authorization_endpoint as string)
    for (const [key, value] of Object.entries({
      client_id: app.id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope,
      resource: api,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      prompt: 'consent',
    }))
      url.searchParams.set(key, value)
    const visitor = createVisitor(server)
    const asked = await visitor.signIn(await visitor.open(url.pathname + url.search), account)
    const back = await visitor.decide(asked, 'allow')
    const answer = oauth.validateAuthResponse(as, client, new URL(back.headers.get('location') ?? ''), state)
    return withNonce(async () =>
      oauth.processAuthorizationCodeResponse(
        as,
        client,
        await oauth.authorizationCodeGrantRequest(as, client, authentication, answer, CALLBACK, verifier, {
          ...options,
          ...more,
        }),
      ),
    )
  }

  const refresh = (token: string | undefined, more: object = {}) =>
    withNonce(async () =>
      oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(as, client, authentication, token ?? '', {
          ...options,
          ...more,
        }),
      ),
    )

  const revoke = async (token: string | undefined) =>
    oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, authentication, token ?? '', options),
    )

  return { getTokens, refresh, revoke }
}

/** The first proof of a client has no nonce yet. */
const withNonce = <T>(request: () => Promise<T>): Promise<T> =>
  request().catch((error) => (oauth.isDPoPNonceError(error) ? request() : Promise.reject(error)))

async function introspect(token: string): Promise<oauth.IntrospectionResponse> {
  const client = { client_id: backend.id }
  const authentication = oauth.ClientSecretBasic(backend.secret)
  return oauth.processIntrospectionResponse(
    as,
    client,
    await oauth.introspectionRequest(as, client, authentication, token, options),
  )
}

const createProver = async () => oauth.DPoP({}, await oauth.generateKeyPair('ES256', { extractable: true }))
const INVALID_GRANT = { error: 'invalid_grant' } as oauth.ResponseBodyError

for (const name of ['a public client', 'a client with a secret'] as const) {
  const { getTokens, refresh, revoke } = library(name)

  t.test(`${name} gets, refreshes and revokes a token of a user`, async (t) => {
    const tokens = await getTokens('read write')
    t.match(tokens, { token_type: 'bearer', scope: 'read write', expires_in: 600 })
    const authorization = new Headers({ authorization: `Bearer ${tokens.access_token}` })
    const request = new Request('https://api.example.com/notes', { headers: authorization })
    const claims = await oauth.validateJwtAccessToken(as, request, api, options)
    t.match(claims, { client_id: apps[name].id, aud: api, scope: 'read write' })

    const seen = await introspect(tokens.access_token)
    t.match(seen, { active: true, aud: api, sub: claims.sub, client_id: apps[name].id, token_type: 'Bearer' })

    const next = await refresh(tokens.refresh_token, { additionalParameters: { scope: 'read' } })
    t.match(next, { scope: 'read' })
    t.not(next.refresh_token, tokens.refresh_token)
    await revoke(next.refresh_token)
    await t.rejects(refresh(next.refresh_token), INVALID_GRANT)
    t.strictSame(await introspect(next.access_token), { active: false }, 'its access tokens have ended too')
  })

  t.test(`${name} binds its tokens to a key`, async (t) => {
    const DPoP = await createProver()
    const tokens = await getTokens('read', { DPoP })
    t.match(tokens, { token_type: 'dpop', scope: 'read' })
    const jkt = await DPoP.calculateThumbprint()
    t.match(await introspect(tokens.access_token), { active: true, token_type: 'DPoP', cnf: { jkt } })

    const next = await refresh(tokens.refresh_token, { DPoP })
    t.match(next, { token_type: 'dpop' })
    t.match(await introspect(next.access_token), { cnf: { jkt } })
  })
}

t.test('a refresh token of a public client works with its key only, and others end nothing', async (t) => {
  const { getTokens, refresh } = library('a public client')
  const DPoP = await createProver()
  const { refresh_token: token } = await getTokens('read', { DPoP })
  for (const round of [1, 2]) {
    await t.rejects(refresh(token, { DPoP: await createProver() }), INVALID_GRANT, `another key, ${round}`)
    await t.rejects(refresh(token), INVALID_GRANT, `no key, ${round}`)
    await server.age(300_000)
  }
  const next = await refresh(token, { DPoP })
  t.match(next, { token_type: 'dpop' })
  await server.age(300_000)
  const late = await refresh(token, { DPoP })
  t.equal(late.refresh_token, next.refresh_token, 'a copy that comes late with the key')
})

t.test(
  'a refresh token of a client with a secret is bound to the secret, and its key may change',
  async (t) => {
    const { getTokens, refresh } = library('a client with a secret')
    const { refresh_token: token } = await getTokens('read', { DPoP: await createProver() })
    const DPoP = await createProver()
    const next = await refresh(token, { DPoP })
    t.match(await introspect(next.access_token), { cnf: { jkt: await DPoP.calculateThumbprint() } })
  },
)

t.test('a code that is bound to a key (dpop_jkt) works with this key only', async (t) => {
  const app = apps['a public client']
  const prover = await createProver()
  const given = await app.code(account, { scope: 'read', dpop_jkt: await prover.calculateThumbprint() })
  t.match(await app.redeem(given), { status: 400, body: { error: 'invalid_grant' } })
  const client = { client_id: app.id }
  const callback = new URLSearchParams({ code: given.code, iss: as.issuer, state: 'a state' })
  const answer = oauth.validateAuthResponse(as, client, callback, 'a state')
  const redeem = (DPoP: oauth.DPoPHandle) =>
    withNonce(async () =>
      oauth.processAuthorizationCodeResponse(
        as,
        client,
        await oauth.authorizationCodeGrantRequest(
          as,
          client,
          oauth.None(),
          answer,
          CALLBACK,
          given.verifier,
          { ...options, DPoP },
        ),
      ),
    )
  await t.rejects(redeem(await createProver()), INVALID_GRANT)
  t.match(await redeem(prover), { token_type: 'dpop' })
})
