import t from 'tap'
import { createApp, pkce } from '../../../support/authorization.ts'
import { OWN } from '../../../support/interaction.ts'
import { registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'
import { createVisitor, parametersOf } from '../../../support/visitor.ts'

const PAGE = 'https://app.example.com'
const server = await startServer(t, { env: { OAUTH_CONSENT_URL: `${PAGE}/allow` } })
const registry = registrations(server)
const api = await registry.resource('read')
const app = await createApp(server, registry, { [api]: 'read' }, { uri: 'https://photos.example.com/' })
const account = await server.createAccount()
const { challenge } = pkce()
const url = app.url(challenge, { scope: 'read' })
type Visitor = ReturnType<typeof createVisitor>

/** A person who has been led to the operator's page, and the ticket in its address. */
async function led(visitor = createVisitor(server), who = account) {
  const answer = await visitor.signIn(await visitor.open(url), who)
  const location = new URL(answer.headers.get('location') ?? '')
  t.equal(location.origin + location.pathname, `${PAGE}/allow`)
  return { visitor, ticket: location.searchParams.get('ticket') ?? '' }
}
const call = async (visitor: Visitor, path: string, body: object, headers: Record<string, string> = {}) => {
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  return server.call('POST', path, {
    body,
    headers: { cookie, origin: PAGE, 'content-type': 'application/json', ...headers },
  })
}

t.test('the page of the operator reads the question, and its answer leads to the client', async (t) => {
  const { visitor, ticket } = await led()
  const question = await call(visitor, '/oauth/consent', { ticket })
  t.strictSame(question.body, {
    client: { id: app.id, name: 'Photo Printer', uri: 'https://photos.example.com/', registered: true },
    scopes: ['read'],
    resource: api,
    redirect_uri: 'https://app.example.com/callback',
    warn: false,
    user: { email: account.email },
  })
  const allowed = await call(visitor, '/oauth/consent/decide', { ticket, decision: 'allow' })
  t.match(allowed.headers.getSetCookie().join(), 'ratchet-dev=rt1_')
  const { searchParams } = new URL(allowed.body.redirect_to)
  t.match(Object.fromEntries(searchParams), { iss: OWN, state: 'a state' })
  t.ok(searchParams.get('code'))
})

t.test('a refusal leads to the client as well', async (t) => {
  const other = await createApp(server, registry, { [api]: 'read' })
  const visitor = createVisitor(server)
  const answer = await visitor.signIn(await visitor.open(other.url(challenge)), account)
  const ticket = parametersOf(answer).ticket ?? ''
  const refused = await call(visitor, '/oauth/consent/decide', { ticket, decision: 'deny' })
  t.match(refused.body.redirect_to, 'error=access_denied')
})

t.test('nobody but that page may ask and answer, for the person of the question', async (t) => {
  const person = await server.createAccount()
  const { visitor, ticket } = await led(createVisitor(server), person)
  for (const path of ['/oauth/consent', '/oauth/consent/decide']) {
    const body = { ticket, ...(path.endsWith('decide') ? { decision: 'allow' } : {}) }
    t.equal((await call(visitor, path, body, { origin: 'https://evil.example' })).status, 403)
    t.equal((await call(visitor, path, body, { origin: OWN })).status, 403)
    t.equal((await call(visitor, path, { ...body, ticket: 'x' })).status, 400)
    t.equal((await call(visitor, path, { ...body, more: 1 })).status, 400)
  }
  const stranger = createVisitor(server)
  t.equal((await call(stranger, '/oauth/consent', { ticket })).status, 401)
  const { visitor: other } = await led(createVisitor(server), await server.createAccount())
  t.equal((await call(other, '/oauth/consent', { ticket })).status, 401)
  const answer = await call(other, '/oauth/consent/decide', { ticket, decision: 'allow' })
  t.match(answer.body.redirect_to, `${OWN}/oauth/authorize?`)
  t.equal(await server.db.grant.count({ where: { user: { email: person.email } } }), 0)
})
