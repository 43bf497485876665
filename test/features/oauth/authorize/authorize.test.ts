import t from 'tap'
import { createApp, pkce } from '../../../support/authorization.ts'
import { OWN, submitForm } from '../../../support/interaction.ts'
import { registrations } from '../../../support/oauth.ts'
import { movableClock, startServer } from '../../../support/server.ts'
import { createVisitor, hidden, parametersOf, titleOf } from '../../../support/visitor.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const registry = registrations(server)
const api = await registry.resource('read write')
const app = await createApp(server, registry, { [api]: 'read write' })
const { challenge } = pkce()
const SIGN_IN = 'Sign in to continue to Photo Printer'
const CONSENT = 'Photo Printer asks for access to your account'
const url = (parameters: Record<string, string> = {}) => app.url(challenge, { scope: 'read', ...parameters })
const cookieOf = ({ cookies }: ReturnType<typeof createVisitor>) =>
  [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')

t.test('prompt, max_age and acr_values decide whether a sign-in is enough', async (t) => {
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  await app.code(account, { scope: 'read' }, visitor)
  const asks = async (parameters: Record<string, string>) => titleOf(await visitor.open(url(parameters)))
  t.equal(await asks({ prompt: 'login' }), SIGN_IN)
  t.equal(await asks({ prompt: 'select_account' }), SIGN_IN)
  t.equal(await asks({ prompt: 'consent' }), CONSENT)
  t.not(await asks({ prompt: 'create' }), SIGN_IN)
  t.equal(await asks({ acr_values: 'urn:ratchet:2fa urn:ratchet:1fa' }), SIGN_IN)
  t.equal(await asks({ acr_values: 'urn:ratchet:1fa urn:ratchet:2fa' }), undefined, 'a code at once')
  t.equal(await asks({ acr_values: 'urn:other:acr' }), undefined)
  t.equal(await asks({ max_age: '3600' }), undefined)
  clock.advance(3_700_000)
  t.equal(await asks({ max_age: '3600' }), SIGN_IN)
  const silent = await visitor.open(url({ max_age: '3600', prompt: 'none' }))
  t.match(parametersOf(silent), { error: 'login_required' })
  t.ok(parametersOf(await visitor.open(url({ prompt: 'none' }))).code)

  // The sign-in that the request has led to is enough for it, and does not lead to another.
  for (const parameter of [{ prompt: 'login' }, { max_age: '0' }, { acr_values: 'urn:ratchet:2fa' }]) {
    const page = await visitor.open(url(parameter as Record<string, string>))
    clock.advance(2_000)
    const signedIn = await visitor.signIn(page, account)
    t.ok(parametersOf(signedIn).code, JSON.stringify(parameter))
  }
})

t.test('a refusal is told to the client, and gives nothing', async (t) => {
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  const asked = await visitor.signIn(await visitor.open(url()), account)
  t.equal(titleOf(asked), CONSENT)
  t.match(parametersOf(await visitor.decide(asked, 'deny')), { error: 'access_denied', iss: OWN })
  t.equal(await server.db.grant.count({ where: { user: { email: account.email } } }), 0)
  t.match(parametersOf(await visitor.open(url({ prompt: 'none' }))), { error: 'consent_required' })
})

t.test('only this page of this session can allow, and it names what it allows', async (t) => {
  const [account, stranger] = [await server.createAccount(), await server.createAccount()]
  const visitor = createVisitor(server)
  const asked = await visitor.signIn(await visitor.open(url()), account)
  t.match(asked.text, account.email)
  t.match(asked.text, 'app.example.com')
  t.match(asked.headers.get('content-security-policy'), /frame-ancestors 'none'/)
  const ticket = hidden(asked, 'ticket')
  const cookie = cookieOf(visitor)
  const decide = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
    submitForm(server, '/oauth/authorize/decide', fields, { cookie, ...headers })
  for (const headers of [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: 'null' },
    { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' },
  ]) {
    t.equal((await decide({ ticket, decision: 'allow' }, headers)).status, 403, headers.origin)
  }
  t.equal((await decide({ ticket: 'x', decision: 'allow' })).status, 400)
  t.equal((await decide({ ticket, decision: 'perhaps' })).status, 400)
  t.equal((await decide({ ticket })).status, 400)
  // The page of one person does not allow for another who has signed in since.
  const second = createVisitor(server)
  await second.signIn(await second.open(url()), stranger)
  const answer = await second.submit('/oauth/authorize/decide', { ticket, decision: 'allow' })
  t.equal(titleOf(answer), CONSENT, 'asked again')
  t.match(answer.text, stranger.email)
  t.equal(await server.db.grant.count({ where: { user: { email: stranger.email } } }), 0)
})

t.test('a grant rotates the session of the browser, so that a copy of its cookie is found out', async (t) => {
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  const { code, verifier } = await app.code(account, { scope: 'read offline_access' }, visitor)
  const { body: tokens } = await app.redeem({ code, verifier })
  const thief = createVisitor(server)
  for (const [name, value] of visitor.cookies) thief.cookies.set(name, value)
  const another = () => app.url(pkce().challenge, { scope: 'read' })
  t.ok(parametersOf(await thief.open(another())).code)
  await server.age(120_000)
  t.equal(titleOf(await visitor.open(another())), SIGN_IN, 'the owner is out')
  t.equal(titleOf(await thief.open(another())), SIGN_IN, 'and so is the thief')
  const refused = await app.refresh(tokens.refresh_token)
  t.match(refused.body, { error: 'invalid_grant' }, 'with everything that was allowed in the session')
})

t.test('a page of a stranger gets no code by loading the endpoint', async (t) => {
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  await app.code(account, { scope: 'read' }, visitor)
  const cookie = cookieOf(visitor)
  for (const dest of ['image', 'script', 'empty', 'style']) {
    const answer = await server.call('GET', url(), { headers: { cookie, 'sec-fetch-dest': dest } })
    t.notMatch(answer.headers.get('location') ?? '', 'code=', dest)
    t.strictSame(answer.headers.getSetCookie(), [])
  }
})

t.test('what goes to this device is asked for each time, and says so', async (t) => {
  const account = await server.createAccount()
  for (const [registered, presented, isFirstParty, text] of [
    ['http://127.0.0.1/callback', 'http://127.0.0.1:49152/callback', false, 'a program on this device'],
    ['http://localhost/callback', 'http://localhost:1234/callback', true, 'a program on this device'],
    ['com.example.app:/callback', 'com.example.app:/callback', true, 'an app on this device'],
  ] as const) {
    const options = { authMethod: 'none', redirectUris: [registered], isFirstParty } as const
    const native = await createApp(server, registry, { [api]: 'read' }, options)
    const visitor = createVisitor(server)
    const parameters = { redirect_uri: presented }
    const first = await visitor.signIn(await visitor.open(native.url(challenge, parameters)), account)
    t.match(first.text, text)
    const allowed = await visitor.decide(first, 'allow')
    t.ok(allowed.headers.get('location')?.startsWith(`${presented}?code=`))
    t.equal(titleOf(await visitor.open(native.url(challenge, parameters))), CONSENT)
    const silent = await visitor.open(native.url(challenge, { ...parameters, prompt: 'none' }))
    t.match(parametersOf(silent), { error: 'consent_required' })
  }
})

t.test('an app of the operator is not asked for, but it is listed', async (t) => {
  const own = await createApp(server, registry, { [api]: 'read' }, { isFirstParty: true, name: 'Own app' })
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  const answer = await visitor.signIn(await visitor.open(own.url(challenge)), account)
  t.ok(parametersOf(answer).code)
  t.equal(await server.db.grant.count({ where: { clientId: own.id } }), 1)
})
