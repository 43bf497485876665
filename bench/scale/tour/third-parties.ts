import { actionsOf, pkce } from '../../../test/support/authorization.ts'
import type { Answer } from '../../../test/support/caller.ts'
import { actionsOfDevice, createDeviceVisitor } from '../../../test/support/device.ts'
import { post as postForm } from '../../../test/support/oauth.ts'
import { createVisitor, hidden, parametersOf } from '../../../test/support/visitor.ts'
import type { Sampled } from '../sample.ts'
import { expect, type Recorder } from './recorder.ts'

const PASSWORD = 'a perfectly long passphrase'
const EMAIL = 'third-party@example.test'
const REDIRECT_URI = 'https://shop.example.com/callback'
const GOODBYE = 'https://shop.example.com/goodbye'
const RESOURCE = 'https://orders.example.com'
const PERMISSIONS = [{ resource: RESOURCE, scopes: ['orders:read'] }]

/** Calls the routes of third parties: of their clients, of the users who allow them something, of administrators. */
export async function callThirdParties(recorder: Recorder, administrator: Sampled): Promise<void> {
  const { caller, call, get, post, mailed } = recorder
  const bearer = administrator.accessToken()
  const ok = (answer: Answer, what: string) => expect(answer, [200, 300], what)
  const account = { email: EMAIL, password: PASSWORD }

  async function registerClients() {
    await post('/admin/resources', { identifier: RESOURCE, scopes: ['orders:read'] }, bearer)
    const api = { name: 'Orders', auth_method: 'client_secret', grant_types: ['client_credentials'] }
    const { client_id: apiId, client_secret: apiSecret } = await post('/admin/clients', api, bearer)
    const ofResource = `/admin/resources?identifier=${encodeURIComponent(RESOURCE)}`
    await call('PATCH', ofResource, { body: { server: apiId }, bearer })
    await get(ofResource, bearer)
    await get('/admin/resources', bearer)
    const shop = {
      ...{ name: 'Shop', auth_method: 'client_secret', permissions: PERMISSIONS },
      grant_types: [
        'authorization_code',
        'refresh_token',
        'client_credentials',
        'urn:ietf:params:oauth:grant-type:device_code',
      ],
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [GOODBYE],
    }
    const { client_id: id, client_secret: secret } = await post('/admin/clients', shop, bearer)
    await get('/admin/clients', bearer)
    await get(`/admin/clients/${id}`, bearer)
    await call('PATCH', `/admin/clients/${id}`, { body: { name: 'The shop' }, bearer })
    await post(`/admin/clients/${id}/disable`, {}, bearer)
    await post(`/admin/clients/${id}/enable`, {}, bearer)
    return { api: { id: apiId, secret: apiSecret }, shop: { id, secret } }
  }

  async function removeClients({ api, shop }: Clients): Promise<void> {
    await post(`/admin/clients/${shop.id}/secrets`, {}, bearer)
    await call('DELETE', `/admin/clients/${shop.id}/secrets`, { body: {}, bearer })
    for (const { id } of [shop, api]) await call('DELETE', `/admin/clients/${id}`, { body: {}, bearer })
    const resource = `/admin/resources?identifier=${encodeURIComponent(RESOURCE)}`
    await call('DELETE', resource, { body: {}, bearer })
  }

  async function register(): Promise<void> {
    await post('/auth/register', { email: EMAIL, password: PASSWORD })
    await post('/auth/verify-email', { token: await mailed(EMAIL, /verify-email/), password: PASSWORD })
  }

  /** A person in front of the operator's page that asks whether the client may. */
  async function question(url: string, visitor: Visitor, page?: Answer) {
    const first = page ?? (await visitor.open(url))
    const answer = hidden(first, 'ticket') ? await visitor.signIn(first, account) : first
    return parametersOf(answer).ticket as string
  }

  async function useCode({ shop, api }: Clients): Promise<void> {
    const app = actionsOf(caller, { id: shop.id, redirectUri: REDIRECT_URI, credentials: shop })
    const visitor = createVisitor(caller)
    const { verifier, challenge } = pkce()
    const url = app.url(challenge, { scope: 'openid orders:read' })
    const form = new URLSearchParams(url.slice(url.indexOf('?') + 1)).toString()
    expect(
      await caller.call('POST', '/oauth/authorize', {
        body: form,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      }),
      [303, 304],
      'the request as a form',
    )
    const ticket = await question(url, visitor)
    const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { cookie, origin: 'https://app.example.com', 'content-type': 'application/json' }
    ok(await caller.call('POST', '/oauth/consent', { body: { ticket }, headers }), 'the question')
    const denied = { ticket, decision: 'deny' }
    const answer = await caller.call('POST', '/oauth/consent/decide', { body: denied, headers })
    ok(answer, 'a refusal')
    for (const each of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? []
      visitor.cookies.set(name, value)
    }
    const asked = await question(url, visitor)
    const allowed = await visitor.submit('/oauth/authorize/decide', { ticket: asked, decision: 'allow' })
    const { code } = parametersOf(allowed) as { code: string }
    const tokens = ok(await app.redeem({ code, verifier }), 'a code')
    const next = ok(await app.refresh(tokens.refresh_token), 'a refresh by a third party')
    const userinfo = { authorization: `Bearer ${await openIdToken(app, visitor)}` }
    for (const method of ['GET', 'POST'])
      ok(await caller.call(method, '/oauth/userinfo', { headers: userinfo }), 'userinfo')
    ok(await postForm(caller, '/oauth/introspect', { token: next.access_token }, api), 'introspection')
    ok(await postForm(caller, '/oauth/revoke', { token: next.refresh_token }, shop), 'a revocation')
    await endSession(shop, tokens.id_token, visitor)
  }

  /** An access token for this server itself, to which the user has agreed. */
  async function openIdToken(app: ReturnType<typeof actionsOf>, visitor: Visitor): Promise<string> {
    const { verifier, challenge } = pkce()
    let page = await visitor.open(app.url(challenge, { scope: 'openid' }))
    if (!parametersOf(page).code) {
      const ticket = parametersOf(page).ticket as string
      page = await visitor.submit('/oauth/authorize/decide', { ticket, decision: 'allow' })
    }
    const { code } = parametersOf(page) as { code: string }
    return ok(await app.redeem({ code, verifier }), 'a code for OpenID Connect alone').access_token
  }

  async function endSession({ id }: { id: string }, hint: string, visitor: Visitor): Promise<void> {
    const parameters = { client_id: id, post_logout_redirect_uri: GOODBYE }
    const redirected = await postForm(caller, '/oauth/end-session', { ...parameters, id_token_hint: hint })
    expect(redirected, [303, 304], 'a sign-out as a form')
    const page = await visitor.open(`/oauth/end-session?${new URLSearchParams(parameters)}`)
    const fields = { ticket: hidden(page, 'ticket'), decision: 'end' }
    expect(await visitor.submit('/oauth/end-session/confirm', fields), [200, 304], 'a confirmed sign-out')
  }

  async function useDevice({ shop }: Clients): Promise<void> {
    const { begin, poll } = actionsOfDevice(caller, shop.id, shop)
    const codes = await begin({ scope: 'orders:read' })
    expect(await poll(codes), [400, 401], 'a device that is too early')
    const person = createDeviceVisitor(caller)
    await person.open(account)
    const asked = await person.enter(codes.user_code)
    ok(await person.decide(asked, 'allow'), 'a decision about a device')
    ok(await poll(codes), 'a device')
  }

  async function useGrants({ shop }: Clients): Promise<void> {
    const { access_token: own } = await post('/auth/login', { ...account, transport: 'body' })
    await get('/auth/grants', own)
    await call('DELETE', `/auth/grants?client_id=${shop.id}`, { bearer: own })
  }

  for (const name of ['oauth-authorization-server', 'openid-configuration', 'oauth-protected-resource'])
    await get(`/.well-known/${name}`)
  const clients = await registerClients()
  await register()
  const itself = { grant_type: 'client_credentials', resource: RESOURCE }
  ok(await postForm(caller, '/oauth/token', itself, clients.shop), 'client_credentials')
  await useCode(clients)
  await useDevice(clients)
  await useGrants(clients)
  await removeClients(clients)
}

type Clients = Record<'api' | 'shop', { id: string; secret: string }>
type Visitor = ReturnType<typeof createVisitor>
