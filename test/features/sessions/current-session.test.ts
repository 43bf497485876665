import type { Command } from 'ioredis'
import t from 'tap'
import { noBrowser, servePage, startBrowser } from '../../support/browser.ts'
import type { Answer } from '../../support/caller.ts'
import { callsOf, statementsOf } from '../../support/costs.ts'
import { eventually } from '../../support/eventually.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const APP = 'https://app.example.com'
const OWN = { 'sec-fetch-site': 'same-origin' }

// New connections and background tasks have statements too.
const aboutSessions = (statements: string[]) =>
  statements.filter((text) => /FROM (sessions|users)/.test(text))
const cookieOf = (token: string) => ({ cookie: `ratchet-dev=${token}` })
const ask = (server: TestServer, headers: Record<string, string>): Promise<Answer> =>
  server.call('GET', '/auth/session', { headers })

t.test('a visitor is null, and asks no store', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true' } })
  const statements = statementsOf(t)
  const commands = callsOf(t, server.app.services.redis, 'sendCommand')
  const own: Record<string, string>[] = [{}, OWN, { origin: APP }, { 'sec-fetch-site': 'none' }]
  for (const headers of own.flatMap((it) => [
    it,
    { ...it, ...cookieOf('rt1_nonsense') },
    { ...it, cookie: '' },
  ])) {
    const answer = await ask(server, headers)
    t.match([answer.status, answer.text], [200, 'null'], JSON.stringify(headers))
    t.match(answer.headers.get('content-type'), /^application\/json/)
    t.equal(answer.headers.get('cache-control'), 'no-store')
  }
  t.strictSame(aboutSessions(statements()), [])
  // The heartbeat goes on.
  const keys = commands.map(([command]) => String((command as Command).args))
  t.notOk(keys.some((args) => /session:|rt:\{/.test(args)))
})

t.test('a live cookie names the session and the user, and is as good as before', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const session = await server.login(account)
  const headers = { ...OWN, ...cookieOf(session.refresh_token) }
  for (let visit = 0; visit < 3; visit += 1) {
    const { status, body, headers: sent } = await ask(server, headers)
    t.match(
      [status, body],
      [200, { session: session.session, user: { email: account.email, mfa_enabled: false } }],
    )
    t.equal(sent.getSetCookie().length, 0)
    t.strictSame(Object.keys(body.session), ['id', 'expires_at'])
  }
  t.equal((await server.call('HEAD', '/auth/session', { headers })).status, 200)
  const first = await server.post('/auth/refresh', { refresh_token: session.refresh_token })
  t.equal(first.status, 200)
  const token = server.app.services.sessions.parse(first.body.refresh_token)
  t.equal(token?.generation, 1, 'only the refresh has rotated it')
  await server.app.services.sessions.flush()
  for (const each of [session.refresh_token, first.body.refresh_token])
    t.equal(
      (await ask(server, { ...OWN, ...cookieOf(each) })).body.session.id,
      session.session.id,
      'in grace',
    )
})

t.test('a token that is no longer good is null', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const nobody = async (token: string, message: string) => {
    const { status, body } = await ask(server, { ...OWN, ...cookieOf(token) })
    t.match([status, body], [200, null], message)
  }
  const left = await server.login(account)
  await server.post('/auth/logout', { refresh_token: left.refresh_token })
  await nobody(left.refresh_token, 'ended')
  await nobody(`${left.refresh_token.slice(0, -2)}AA`, 'forged')
  const idle = await server.login(account)
  await server.age(15 * 86_400_000)
  await nobody(idle.refresh_token, 'expired')
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const disabled = await server.login(account)
  await server.db.user.update({ where: { id }, data: { disabledAt: new Date() } })
  await nobody(disabled.refresh_token, 'disabled')
})

t.test('pages of other origins learn nothing, not even from the status or the stores', async (t) => {
  const server = await startServer(t)
  const { refresh_token: token } = await server.login(await server.createAccount())
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example.com', 'sec-fetch-site': 'cross-site' },
    { origin: 'https://evil.example.com' },
    { origin: 'null' },
    { origin: 'null', 'sec-fetch-site': 'same-origin' },
    { origin: '' },
    { origin: 'https://app.example.com.evil.com' },
    { origin: 'http://localhost:3000' },
    { origin: 'http://localhost:8080', 'sec-fetch-site': 'cross-site' },
    // Images, scripts and links of other pages have no `Origin`.
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    { 'sec-fetch-site': 'same-origin, cross-site' },
    { 'sec-fetch-site': '' },
  ]
  const statements = statementsOf(t)
  for (const headers of foreign) {
    const [with_, without] = [
      await ask(server, { ...headers, ...cookieOf(token) }),
      await ask(server, headers),
    ]
    for (const { status, body, headers: sent } of [with_, without]) {
      t.match([status, body.code], [403, 'origin_not_allowed'], JSON.stringify(headers))
      t.equal(sent.get('access-control-allow-origin'), null)
    }
    const bare = ({ body }: Answer) => ({ ...body, request_id: '' })
    t.strictSame(bare(with_), bare(without))
  }
  const silent = await ask(server, cookieOf(token))
  t.match([silent.status, silent.body], [200, null], 'a client that says nothing gets what a visitor gets')
  t.strictSame(aboutSessions(statements()), [])
  const allowed = await ask(server, { origin: APP, 'sec-fetch-site': 'cross-site', ...cookieOf(token) })
  t.equal(allowed.headers.get('access-control-allow-origin'), APP)
  t.match(allowed.headers.get('vary'), /origin/i)
  t.ok(allowed.body.session)
})

t.test('each session has a budget; nobody else spends it', async (t) => {
  const env = { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'session=2/60' }
  const server = await startServer(t, { env })
  const account = await server.createAccount()
  const [one, other] = [await server.login(account), await server.login(account)]
  const statuses = []
  for (let visit = 0; visit < 3; visit += 1)
    statuses.push((await ask(server, { ...OWN, ...cookieOf(one.refresh_token) })).status)
  t.strictSame(statuses, [200, 200, 429])
  t.equal((await ask(server, { ...OWN, ...cookieOf(other.refresh_token) })).status, 200)
  for (let visit = 0; visit < 5; visit += 1) t.equal((await ask(server, OWN)).status, 200)
})

t.test('while Postgres is unavailable a visitor is null, and a cookie is 503', async (t) => {
  const server = await startServer(t, { proxies: true })
  const { refresh_token: token } = await server.login(await server.createAccount())
  server.proxies.postgres.cut()
  t.equal((await ask(server, OWN)).text, 'null')
  const answer = await ask(server, { ...OWN, ...cookieOf(token) })
  t.match([answer.status, answer.body.code], [503, 'unavailable'])
  t.ok(answer.headers.get('retry-after'))
})

t.test('in a browser a first visit leaves no error in the console', { skip: noBrowser }, async (t) => {
  const app = await servePage(t, '<!doctype html><link rel="icon" href="data:,"><title>App</title>')
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: app.origin } })
  const account = await server.createAccount()
  const context = await startBrowser(t, { serves: server.url })
  const page = await context.newPage()
  const errors: string[] = []
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  const session = () =>
    page.evaluate(async () => {
      const answer = await fetch('http://localhost:8080/auth/session', { credentials: 'include' })
      const signedIn = (await answer.json()) as { user: { email: string } } | null
      return signedIn?.user.email ?? null
    })
  await page.goto(app.origin)
  t.equal(await session(), null)
  const signedIn = await page.evaluate(async (body) => {
    const headers = { 'content-type': 'application/json' }
    const request = { method: 'POST', credentials: 'include', headers, body: JSON.stringify(body) } as const
    return (await fetch('http://localhost:8080/auth/login', request)).status
  }, account)
  t.equal(signedIn, 200)
  t.equal(await session(), account.email)
  t.strictSame(errors, [])
  await page.goto('http://localhost:8080/docs/')
  const [own] = await Promise.all([session(), page.waitForRequest('**/auth/session')])
  t.equal(own, account.email, 'a page of the server itself, whose request has no Origin')
})

t.test('of several cookies, the newest that could be refreshed counts', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const [older, newer] = [await server.login(account), await server.login(account)]
  let token = newer.refresh_token
  for (let turn = 0; turn < 3; turn += 1)
    token = (await server.post('/auth/refresh', { refresh_token: token })).body.refresh_token
  await server.age(20_000)
  const cookie = `${cookieOf(older.refresh_token).cookie}; ${cookieOf(newer.refresh_token).cookie}`
  await eventually(async () => (await ask(server, { ...OWN, cookie })).body?.session?.id === older.session.id)
})
