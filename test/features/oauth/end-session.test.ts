import { decodeJwt } from 'jose'
import * as openid from 'openid-client'
import t from 'tap'
import { createIdTokens } from '../../../src/core/tokens/id-tokens.ts'
import { createApp } from '../../support/authorization.ts'
import { openPage } from '../../support/interaction.ts'
import { registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'
import { hidden, titleOf } from '../../support/visitor.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const api = await registry.resource('read')
const GOODBYE = 'https://app.example.com/goodbye?from=ratchet'
const options = { postLogoutRedirectUris: [GOODBYE] }
const app = await createApp(server, registry, { [api]: 'read' }, options)
const other = await createApp(server, registry, { [api]: 'read' }, options)
const account = await server.createAccount()
const { sub: userId } = decodeJwt((await server.login(account)).access_token)

const urlOf = (parameters: Record<string, string>) => `/oauth/end-session?${new URLSearchParams(parameters)}`

/** A browser in which the client was allowed, and what it got. */
async function signedIn(client = app, scope = 'openid read') {
  const given = await client.code(account, { scope })
  const { body: tokens } = await client.redeem(given)
  const { visitor } = given
  // Also of what the browser has forgotten.
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const isSignedIn = async () => {
    const headers = { cookie, 'sec-fetch-site': 'same-origin' }
    return (await server.call('GET', '/auth/session', { headers })).body !== null
  }
  const decide = (page: { text: string }, decision: string) =>
    visitor.submit('/oauth/end-session/confirm', { ticket: hidden(page as never, 'ticket'), decision })
  return { tokens, visitor, cookie, isSignedIn, decide }
}

t.test('openid-client signs a user out at once, with an id_token of this browser', async (t) => {
  const config = await openid.discovery(new URL(issuer), app.id, undefined, openid.None(), {
    execute: [openid.allowInsecureRequests],
    [openid.customFetch]: (url: string, init?: object) => fetch(url.replace(issuer, server.url), init),
  })
  const { tokens, visitor, isSignedIn } = await signedIn()
  t.ok(await isSignedIn())
  const { pathname, search } = openid.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: GOODBYE,
    state: 'a state',
  })
  const answer = await visitor.open(pathname + search)
  t.equal(answer.status, 303)
  t.equal(answer.headers.get('location'), `${GOODBYE}&state=a+state`)
  t.notOk([...visitor.cookies.keys()].includes('ratchet-dev'), 'the cookie is gone')
  t.notOk(await isSignedIn())
  t.match((await app.refresh(tokens.refresh_token)).body, { error: 'invalid_grant' }, 'and what hung on it')
})

t.test('access that the user allowed for longer stays', async (t) => {
  const { tokens, visitor } = await signedIn(app, 'openid offline_access')
  await visitor.open(urlOf({ id_token_hint: tokens.id_token }))
  t.equal((await app.refresh(tokens.refresh_token)).status, 200)
})

t.test('without a proof the user is asked', async (t) => {
  const stranger = await signedIn()
  const [head, payload, signature] = (stranger.tokens.id_token as string).split('.')
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
  for (const [what, parameters] of Object.entries({
    'no hint': { client_id: app.id },
    'nothing at all': {},
    'of another browser': { id_token_hint: stranger.tokens.id_token },
    'alg none': { id_token_hint: `${none}.${payload}.`, client_id: app.id },
    'another signature': {
      id_token_hint: `${head}.${payload}.${signature?.slice(0, -6)}AAAAAA`,
      client_id: app.id,
    },
    'an access token': { id_token_hint: stranger.tokens.access_token, client_id: app.id },
  })) {
    const { visitor, isSignedIn, decide } = await signedIn()
    const asked = await visitor.open(urlOf(parameters as Record<string, string>))
    t.equal(titleOf(asked), 'Sign out?', what)
    t.match(asked.text, account.email)
    t.ok(await isSignedIn(), 'a look ends nothing')
    const stayed = await decide(asked, 'stay')
    t.equal(titleOf(stayed), 'You are still signed in')
    t.ok(await isSignedIn())
    t.equal(titleOf(await decide(asked, 'end')), 'You are signed out')
    t.notOk(await isSignedIn())
  }
  t.ok(await stranger.isSignedIn(), 'the other browser goes on')
})

t.test('after the question the browser goes on to the client', async (t) => {
  const { visitor, isSignedIn, decide } = await signedIn()
  const parameters = { client_id: app.id, post_logout_redirect_uri: GOODBYE, state: 'x' }
  const asked = await visitor.open(urlOf(parameters))
  t.match(asked.text, 'Photo Printer')
  t.match(asked.headers.get('content-security-policy'), "form-action 'self' https:")
  const answer = await decide(asked, 'end')
  t.match([answer.status, answer.headers.get('location')], [303, `${GOODBYE}&state=x`])
  t.notOk(await isSignedIn())
  t.equal(
    (await visitor.open(urlOf(parameters))).headers.get('location'),
    `${GOODBYE}&state=x`,
    'nothing to end',
  )
})

t.test('a browser goes nowhere that its client has not registered', async (t) => {
  const { tokens, visitor, isSignedIn } = await signedIn()
  const { id_token: hint } = tokens
  for (const [what, parameters] of Object.entries({
    'another host': { id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example.com/goodbye' },
    'a longer one': { id_token_hint: hint, post_logout_redirect_uri: `${GOODBYE}x` },
    'user information': { id_token_hint: hint, post_logout_redirect_uri: GOODBYE.replace('//', '//evil@') },
    'the redirect URI': { id_token_hint: hint, post_logout_redirect_uri: 'https://app.example.com/callback' },
    'nobody known': { post_logout_redirect_uri: GOODBYE },
    'an unknown client': { client_id: 'x', post_logout_redirect_uri: GOODBYE },
    "another client's hint": { client_id: other.id, id_token_hint: hint, post_logout_redirect_uri: GOODBYE },
  })) {
    const answer = await visitor.open(urlOf(parameters))
    t.equal(answer.status, 400, what)
    t.equal(answer.headers.get('location'), null)
    t.equal(titleOf(answer), 'This request cannot be answered')
  }
  const twice = `${urlOf({ id_token_hint: hint })}&id_token_hint=x`
  t.equal((await visitor.open(twice)).status, 400)
  t.equal((await visitor.open(urlOf({ state: 'x'.repeat(9_000) }))).status, 400)
  t.ok(await isSignedIn(), 'and nothing ends')
})

t.test('no page of a stranger ends a session', async (t) => {
  const { tokens, visitor, cookie, isSignedIn } = await signedIn()
  await openPage(server, urlOf({ id_token_hint: tokens.id_token }), { cookie, 'sec-fetch-dest': 'image' })
  t.ok(await isSignedIn(), 'as an image')
  const asked = await visitor.open(urlOf({}))
  const forged = await server.call('POST', '/oauth/end-session/confirm', {
    body: new URLSearchParams({ ticket: hidden(asked, 'ticket'), decision: 'end' }).toString(),
    headers: {
      cookie,
      'content-type': 'application/x-www-form-urlencoded',
      origin: 'https://evil.example.com',
    },
  })
  t.equal(forged.status, 403)
  t.ok(await isSignedIn(), 'by a form')
  const wrong = await visitor.submit('/oauth/end-session/confirm', { ticket: 'x', decision: 'end' })
  t.equal(wrong.status, 400)
})

t.test('a form of the client is sent on, so that the browser brings its cookie', async (t) => {
  const answer = await server.call('POST', '/oauth/end-session', {
    body: `client_id=${app.id}&state=a%20b&state=c`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'https://app.example.com' },
  })
  t.equal(answer.status, 303)
  t.equal(answer.headers.get('location'), `/oauth/end-session?client_id=${app.id}&state=a+b&state=c`)
})

t.test('an id_token is a hint for as long as its key is known, also when it has expired', async (t) => {
  const { tokens, visitor, isSignedIn } = await signedIn()
  const { idTokens } = server.app.services
  const claims = decodeJwt(tokens.id_token)
  t.equal(claims.sub, userId)
  const ago = { now: () => Date.now() - 86_400_000 }
  const { keyRing } = server.app.services
  const old = createIdTokens({ keyRing, clock: ago, issuer }).sign({
    client: { id: app.id, idTokenAlg: null },
    session: claims as never,
    acr: 'x',
    nonce: null,
    accessToken: 'x',
  })
  t.match(await idTokens.identify(old), { clientId: app.id })
  await visitor.open(urlOf({ id_token_hint: old }))
  t.notOk(await isSignedIn())
})
