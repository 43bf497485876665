import t, { type Test } from 'tap'
import { startServer } from '../../../test/support/server.ts'
import { createAuthClient } from '../src/index.ts'
import {
  createProxy,
  createRouteHandler,
  readAccessToken,
  readEndedReason,
  readSession,
} from '../src/next.ts'

const origin = 'https://app.example.com'
const path = '/api/ratchet'
const ACCESS = '__Host-ratchet-app-access'
const ATTEMPT = '__Host-ratchet-app-attempt'
const ENDED = '__Host-ratchet-app-ended'
const REFRESH = 'ratchet-dev'

const server = await startServer(t)
const options = { baseUrl: server.url, origin, path }
const handlers = createRouteHandler(options)

/** What a page is rendered with: as `NextResponse.next`, which gives it these headers. */
const next = ({ request }: { request: { headers: Headers } }) => ({
  headers: new Headers(),
  page: request.headers,
})

/** A browser at the app. Its calls reach the route handler, its visits the proxy. */
function openBrowser() {
  const jar = new Map<string, string>()
  const written: string[] = []
  const cookie = () => [...jar].map((pair) => pair.join('=')).join('; ')
  function keep(headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      written.push(line)
      const [pair = ''] = line.split(';')
      const at = pair.indexOf('=')
      if (/max-age=0/i.test(line)) jar.delete(pair.slice(0, at))
      else jar.set(pair.slice(0, at), pair.slice(at + 1))
    }
  }
  return {
    jar,
    written,
    keep,
    headers: () => new Headers({ cookie: cookie() }),
    fetch: (async (input, init) => {
      const request = new Request(input, init)
      request.headers.set('origin', origin)
      request.headers.set('cookie', cookie())
      const answer = await handlers[request.method as keyof typeof handlers](request)
      keep(answer.headers)
      return answer
    }) as typeof fetch,
    /** Visits a page. @returns the headers that it is rendered with, and those of the answer. */
    async visit(proxy = createProxy(options, next), isAnswerLost = false) {
      const { page, headers } = await proxy({ headers: new Headers({ cookie: cookie() }) })
      if (!isAnswerLost) keep(headers)
      return { page, headers }
    },
  }
}

async function signIn(t: Test) {
  const browser = openBrowser()
  const client = createAuthClient({ baseUrl: origin + path, fetch: browser.fetch })
  t.teardown(async () => client.dispose())
  const account = await server.createAccount()
  t.match(await client.signIn(account), { status: 'signed_in', user: { email: account.email } })
  const current = await readSession(options, browser.headers())
  const id = current?.session.id ?? ''
  async function stored() {
    await server.app.services.sessions.flush()
    return server.db.session.findUniqueOrThrow({ where: { id } })
  }
  return {
    browser,
    client,
    account,
    generation: async () => (await stored()).generation,
    endedReason: async () => (await stored()).endedReason,
  }
}

const me = async (page: Headers) =>
  (await server.call('GET', '/me', { bearer: readAccessToken(options, page) ?? '' })).body

t.test('a browser signs in through the app, and a server component sees who it is', async (t) => {
  t.equal(await readSession(options, new Headers()), null)
  t.equal(readAccessToken(options, new Headers()), undefined)
  const { browser, client, account } = await signIn(t)
  const before = browser.headers()
  t.match(await me(before), { email: account.email })
  t.match(await readSession(options, before), { user: { email: account.email } })
  t.match(await client.updateUser({ name: 'Ada L.' }), { name: 'Ada L.' })
  await server.age(3_600_000)
  t.match(await readSession(options, before), { user: { name: 'Ada L.' } }, 'nothing was rotated')
  await client.signOut()
  t.equal(await readSession(options, before), null)
  t.strictSame([...browser.jar.keys()], ['ratchet-device-dev'], 'only the device stays known')
})

t.test('a module may create the client with a path, also where pages are rendered', async (t) => {
  const client = createAuthClient({ baseUrl: path })
  t.strictSame(client.getSnapshot(), { status: 'loading' })
  client.dispose()
})

t.test('the cookies belong to the app alone', async (t) => {
  const { browser } = await signIn(t)
  for (const name of [REFRESH, ACCESS, ATTEMPT]) {
    const line = browser.written.findLast((line) => line.startsWith(`${name}=`)) ?? ''
    t.match(line, /; HttpOnly/i, name)
    t.match(line, /; SameSite=Lax/i, name)
    t.match(line, /; Path=\/(;|$)/i, name)
    t.notMatch(line, /; Domain=/i, name)
    if (name !== REFRESH) t.match(line, /; Secure/, `${name}: the app is on https`)
  }
  const access = browser.written.findLast((line) => line.startsWith(ACCESS)) ?? ''
  t.match(access, /; Max-Age=570$/, 'half a minute less than it is valid')
})

t.test('a page without an access token that lasts is rendered with a new one', async (t) => {
  const { browser, account, generation } = await signIn(t)
  const valid = await browser.visit()
  t.strictSame(valid.headers.getSetCookie(), [], 'nothing to do while it lasts')

  browser.jar.delete(ACCESS)
  const before = await generation()
  const proxy = createProxy(options, next)
  const visits = await Promise.all([browser.visit(proxy), browser.visit(proxy), browser.visit()])
  for (const { page, headers } of visits) {
    t.match(await me(page), { email: account.email })
    t.equal(headers.get('cache-control'), 'private, no-store')
    t.match(page.get('cookie'), `${REFRESH}=${browser.jar.get(REFRESH)}`, 'and with the same refresh token')
    t.match(page.get('cookie'), `${ATTEMPT}=${browser.jar.get(ATTEMPT)}`, 'and the same attempt')
  }
  t.equal(await generation(), before + 1, 'the session was rotated once')
})

t.test('an answer that is lost signs nobody out', async (t) => {
  const { browser, client, account, generation, endedReason } = await signIn(t)
  browser.jar.delete(ACCESS)
  const lost = await browser.visit(undefined, true)
  await server.age(3_600_000)
  t.match(await readSession(options, browser.headers()), { user: { email: account.email } })
  const { page } = await browser.visit()
  t.match(await me(page), { email: account.email })
  t.equal(page.get('cookie')?.includes(`${browser.jar.get(REFRESH)}`), true)
  t.match(lost.page.get('cookie'), `${browser.jar.get(REFRESH)}`, 'it is given once more')
  t.equal(await generation(), 1)

  browser.jar.delete(ACCESS)
  await browser.visit(undefined, true)
  await server.age(3_600_000)
  await client.signOut()
  t.equal(await readSession(options, page), null, 'and a sign-out is a sign-out')
  t.equal(await endedReason(), 'logout', 'not a theft')
})

t.test('a session that has ended says why, once', async (t) => {
  const { browser, account } = await signIn(t)
  const { access_token } = await server.login(account)
  await server.call('POST', '/auth/logout-all', { bearer: access_token, body: {} })
  browser.jar.delete(ACCESS)
  const { page } = await browser.visit()
  t.equal(readEndedReason(page), 'logout_all')
  t.equal(readAccessToken(options, page), undefined)
  t.equal(await readSession(options, page), null)
  t.strictSame([...browser.jar.keys()].sort(), [ENDED, REFRESH, 'ratchet-device-dev'].sort())

  const fetch = () => t.fail('the server is not asked again') as never
  t.equal(readEndedReason((await browser.visit(createProxy({ ...options, fetch }, next))).page), undefined)
  const forged = await createProxy(options, next)({ headers: new Headers({ 'ratchet-ended': 'revoked' }) })
  t.equal(readEndedReason(forged.page), undefined, 'a browser cannot say so')
})

t.test('an answer that comes late takes no new session away', async (t) => {
  const { browser, client, account } = await signIn(t)
  const { access_token } = await server.login(account)
  await server.call('POST', '/auth/logout-all', { bearer: access_token, body: {} })
  browser.jar.delete(ACCESS)
  const late = await browser.visit(undefined, true)
  t.equal(readEndedReason(late.page), 'logout_all')
  await client.signIn(account)
  browser.keep(late.headers)
  const { page } = await browser.visit()
  t.match(await me(page), { email: account.email })
})

t.test('signing out everywhere takes the tokens of the app along', async (t) => {
  const { browser, client } = await signIn(t)
  await client.signOutEverywhere()
  t.equal(browser.jar.has(ACCESS), false)
  t.equal(readEndedReason((await browser.visit()).page), 'logout_all')
})

t.test('a page that learns of the end by itself is believed', async (t) => {
  const { browser, client, account } = await signIn(t)
  const { access_token } = await server.login(account)
  await server.call('POST', '/auth/logout-all', { bearer: access_token, body: {} })
  await browser.fetch(`${origin}${path}/auth/refresh`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  t.equal(browser.jar.has(ACCESS), false)
  t.equal(browser.jar.has(ENDED), true)
  await t.rejects(client.updateUser({ name: 'Ada' }), { code: 'session_ended' })
})

t.test('while the server cannot be asked, nothing is lost', async (t) => {
  const { browser } = await signIn(t)
  browser.jar.delete(ACCESS)
  const before = [...browser.jar]
  const away = { ...options, baseUrl: 'http://127.0.0.1:9' }
  const { page, headers } = await browser.visit(createProxy(away, next))
  t.equal(readAccessToken(options, page), undefined)
  t.strictSame(headers.getSetCookie(), [])
  t.strictSame([...browser.jar], before)
  await t.rejects(readSession(away, page), 'who is signed in is not known')
  const answer = await createRouteHandler(away).GET(new Request(`${origin}${path}/auth/session`))
  t.equal(answer.status, 502)
})

t.test('calls of other pages are refused', async (t) => {
  const { browser, generation } = await signIn(t)
  for (const foreign of ['https://evil.test', 'https://sub.app.example.com', 'null', undefined]) {
    const headers = { ...Object.fromEntries(browser.headers()), 'content-type': 'application/json' }
    const request = new Request(`${origin}${path}/auth/refresh`, {
      method: 'POST',
      headers: foreign ? { ...headers, origin: foreign } : headers,
      body: '{}',
    })
    const answer = await handlers.POST(request)
    t.match(await answer.json(), { status: 403, code: 'origin_not_allowed' }, `${foreign}`)
  }
  const asked = new Request(`${origin}${path}/auth/session`, {
    headers: { ...Object.fromEntries(browser.headers()), origin: 'https://evil.test' },
  })
  t.equal((await handlers.GET(asked)).status, 403)
  t.equal(await generation(), 0)
  const answer = await browser.fetch(`${origin}${path}/auth/session`)
  t.equal(answer.headers.get('access-control-allow-origin'), null)
})

t.test('only the server is asked, only for what pages need, and only with its own cookies', async (t) => {
  for (const asked of [
    '/api/other/auth/session',
    '/api/ratchet',
    '/api/ratchet@evil.test/',
    '/api/ratchetx/me',
    '/api/ratchet//evil.test/auth/session',
    '/api/ratchet/metrics',
    '/api/ratchet/auth/../metrics',
    '/api/ratchet/auth/%2e%2e/docs',
    '/api/ratchet/menu',
  ]) {
    const { status } = await handlers.GET(new Request(`${origin}${asked}`))
    t.equal(status, 404, asked)
  }
  const asked: Headers[] = []
  const watching = createRouteHandler({
    ...options,
    fetch: (input, init) => {
      asked.push(new Headers(init?.headers))
      return fetch(input, init)
    },
  })
  const cookie = `theme=dark; ${REFRESH}=one; ${ACCESS}=two; ${ATTEMPT}=three; ratchet-device-dev.x=four`
  await watching.GET(new Request(`${origin}${path}/auth/session`, { headers: { cookie } }))
  t.equal(asked[0]?.get('cookie'), `${REFRESH}=one; ratchet-device-dev.x=four`)
  t.equal(asked[0]?.get('idempotency-key'), 'three')
})
