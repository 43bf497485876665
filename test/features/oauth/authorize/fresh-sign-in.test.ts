import t from 'tap'
import { createApp, pkce } from '../../../support/authorization.ts'
import { registrations } from '../../../support/oauth.ts'
import { movableClock, startServer } from '../../../support/server.ts'
import { createVisitor, hidden, parametersOf, titleOf } from '../../../support/visitor.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const registry = registrations(server)
const api = await registry.resource('read')
const app = await createApp(server, registry, { [api]: 'read' }, { isFirstParty: true })
const { challenge } = pkce()
const SIGN_IN = 'Sign in to continue to Photo Printer'
const FRESH: Record<string, string>[] = [
  { prompt: 'login' },
  { prompt: 'select_account' },
  { max_age: '0' },
  { max_age: '60' },
  { acr_values: 'urn:ratchet:2fa' },
]
const url = (parameters: Record<string, string>) => app.url(challenge, { scope: 'read', ...parameters })
const goOn = (ticket: string) => `/oauth/authorize/continue?ticket=${ticket}`
/** The ticket of a page that a stranger has opened, who has signed in to nothing. */
const ticketOfStranger = async (parameters: Record<string, string>) =>
  hidden(await createVisitor(server).open(url(parameters)), 'ticket')

t.test('a ticket from before a sign-in does not make that sign-in one of its request', async (t) => {
  for (const parameters of FRESH) {
    const account = await server.createAccount()
    const ticket = await ticketOfStranger(parameters)
    clock.advance(5_000)
    const visitor = createVisitor(server)
    // For another request, and then long enough ago for `max_age`.
    t.ok(parametersOf(await visitor.signIn(await visitor.open(url({})), account)).code)
    clock.advance(61_000)
    const page = await visitor.open(goOn(ticket))
    t.equal(titleOf(page), SIGN_IN, JSON.stringify(parameters))
    clock.advance(2_000)
    t.ok(parametersOf(await visitor.signIn(page, account)).code, 'the sign-in that it asks for is enough')
  }
})

t.test('neither does signing in elsewhere while the page waits', async (t) => {
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  const waiting = await visitor.open(url({ prompt: 'login' }))
  const { email, password } = account
  const signedIn = await server.post('/auth/login', { email, password })
  for (const cookie of signedIn.headers.getSetCookie()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
    visitor.cookies.set(name, value)
  }
  clock.advance(2_000)
  t.equal(titleOf(await visitor.open(goOn(hidden(waiting, 'ticket')))), SIGN_IN)
  t.ok(parametersOf(await visitor.open(url({}))).code, 'though the browser is signed in')
})

t.test('a sign-in counts for its own request only, and for ten minutes', async (t) => {
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  const first = await visitor.open(url({ prompt: 'login' }))
  t.ok(parametersOf(await visitor.signIn(first, account)).code)
  t.equal(titleOf(await visitor.open(url({ prompt: 'login' }))), SIGN_IN, 'the same again')
  t.equal(titleOf(await visitor.open(goOn(hidden(first, 'ticket')))), SIGN_IN, 'the ticket of the page again')
  const answer = await server.call('POST', '/auth/sign-in', {
    body: new URLSearchParams({ ...account, ticket: hidden(first, 'ticket') }).toString(),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      origin: 'http://localhost:8080',
      'sec-fetch-site': 'same-origin',
    },
  })
  const continued = answer.headers.get('location') ?? ''
  t.equal(titleOf(await visitor.open(continued)), SIGN_IN, 'to another session it says nothing')
  for (const cookie of answer.headers.getSetCookie()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
    visitor.cookies.set(name, value)
  }
  t.ok(parametersOf(await visitor.open(continued)).code)
  t.ok(parametersOf(await visitor.open(continued)).code, 'a browser may load it again')
  clock.advance(601_000)
  t.equal(titleOf(await visitor.open(continued)), SIGN_IN)
})

t.test('who has signed in while somebody else was asked has to sign in for the request', async (t) => {
  const [first, second] = [await server.createAccount(), await server.createAccount()]
  const asking = await createApp(server, registry, { [api]: 'read' })
  const visitor = createVisitor(server)
  const page = await visitor.open(asking.url(challenge, { prompt: 'login' }))
  const asked = await visitor.signIn(page, first)
  t.match(asked.text, first.email)
  clock.advance(2_000)
  await visitor.signIn(await visitor.open(url({ prompt: 'login' })), second)
  clock.advance(2_000)
  const answer = await visitor.decide(asked, 'allow')
  t.equal(titleOf(answer), SIGN_IN)
  t.equal(await server.db.grant.count({ where: { clientId: asking.id } }), 0)
  t.match((await visitor.signIn(answer, second)).text, second.email)
})
