import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { text as readText } from 'node:stream/consumers'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Answer, CallOptions } from '../support/caller.ts'
import { eventually } from '../support/eventually.ts'
import { check } from '../support/property.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t, { env: { APP_NAME: 'Tea & <Cake>' } })

const ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const FORM = { accept: ACCEPT, 'content-type': 'application/x-www-form-urlencoded' }
const LINKS = ['verify-email', 'unlock', 'confirm-email-change', 'reset-password'].map(
  (name) => `/auth/${name}`,
)
const PAGES = [...LINKS, '/auth/forgot-password', '/auth/new-verification-link', '/']

const open = (path: string, headers: Record<string, string> = {}) =>
  server.call('GET', path, { headers: { accept: ACCEPT, ...headers } })
const submit = (path: string, body: string, headers: Record<string, string> = {}) =>
  server.call('POST', path, { body, headers: { ...FORM, ...headers } })

/** A page with the name of the service, which is safe, needs no script, and leads on or says what to do. */
function isPage(t: Test, answer: Answer, status: number, what: string): void {
  t.equal(answer.status, status, what)
  t.match(answer.headers.get('content-type'), /^text\/html/, what)
  t.equal(answer.headers.get('cache-control'), 'no-store', what)
  t.match(answer.headers.get('content-security-policy'), /^default-src 'none'; style-src 'sha256-/, what)
  t.match(answer.text, '<header>Tea &#38; &#60;Cake&#62;</header>', what)
  t.notMatch(answer.text, /<script|undefined|\[object/, what)
  t.match(answer.text, /<(?:a|button|form) |try again/i, what)
}

t.test(
  'a link that is missing, cut off, repeated or wrong is a page for a browser, and JSON for an app',
  async (t) => {
    const good = 'x'.repeat(43)
    const broken = [
      '',
      '?',
      '?token',
      '?token=',
      `?token=${good}&token=${good}`,
      `?token=${'x'.repeat(201)}`,
      '?tok=x',
    ]
    for (const path of LINKS) {
      for (const query of broken) {
        isPage(t, await open(path + query), 400, path + query)
        t.match((await server.call('GET', path + query)).body, { status: 400, code: 'validation_failed' })
      }
      for (const body of [
        '',
        'token=',
        'token',
        'token=a&token=b',
        `token=${'x'.repeat(201)}`,
        'tok=x',
        `token=${good}`,
      ]) {
        const form = await submit(path, path.includes('reset') ? `${body}&password=long+enough+by+far` : body)
        isPage(t, form, 400, `${path} ${body}`)
        t.match(form.text, 'This link does not work')
      }
      t.match((await server.post(path, { token: ['x'] })).body, { code: 'validation_failed' })
    }
  },
)

t.test('links ignore what mailers and networks add to them, whatever it is', async (t) => {
  const email = server.freshEmail()
  await server.createAccount(email)
  await server.post('/auth/request-password-reset', { email })
  const token = await server.lastToken(email)
  const names = fc.constantFrom(
    'utm_source',
    'utm_medium',
    'fbclid',
    'gclid',
    'mc_eid',
    '',
    '__proto__',
    'a[]',
    'Token',
  )
  const added = fc.array(fc.tuple(names, fc.option(fc.string({ maxLength: 20 }))), { maxLength: 6 })
  await check(
    t,
    fc.asyncProperty(added, added, async (before, after) => {
      const text = (pairs: typeof before) =>
        pairs.map(
          ([name, value]) =>
            encodeURIComponent(name) + (value === null ? '' : `=${encodeURIComponent(value)}`),
        )
      const query = [...text(before), `token=${token}`, ...text(after)].join('&')
      const page = await server.call('GET', `/auth/reset-password?${query}`)
      if (page.status !== 200 || !page.text.includes(`value="${token}"`))
        throw new Error(`${query}: ${page.text}`)
    }),
    { numRuns: 60 },
  )
  for (const path of PAGES) {
    const { text } = await open(`${path}?token=${token}&utm_source=a&utm_source=b&fbclid=`)
    t.notMatch(text, 'This request is not complete', path)
  }
})

t.test('what a browser does wrong on a page is answered by a page', async (t) => {
  for (const path of [
    '/nowhere',
    '/auth/verify-emai',
    '/auth/unlock/x',
    '/favicon',
    '//evil.example/x',
    '/docs/nowhere',
  ])
    isPage(t, await open(path), 404, path)
  isPage(t, await open('/%zz'), 400, 'a malformed address')
  isPage(t, await open('/auth/login'), 405, 'an address of the API')
  isPage(t, await submit('/', 'x=1'), 405, 'a form for a page without one')
  for (const path of [...LINKS, '/auth/forgot-password']) {
    const method = await server.call('PUT', path, { headers: { accept: ACCEPT } })
    isPage(t, method, 405, path)
    t.match(method.headers.get('allow'), /POST/)
    isPage(t, await submit(path, `token=${'x'.repeat(20_000)}`), 413, path)
    for (const type of ['multipart/form-data; boundary=x', 'text/plain', 'application/xml'])
      isPage(t, await submit(path, 'token=x', { 'content-type': type }), 415, path)
  }
})

t.test('an app gets JSON for all of this, whatever is wrong', async (t) => {
  const token = { token: 'x' }
  const calls: [string, string, CallOptions][] = LINKS.flatMap((path) => [
    ['GET', path, {}],
    ['GET', path, { headers: { accept: 'application/json, text/plain, */*' } }],
    ['POST', path, { body: token }],
    // Some libraries ask for HTML without being told to.
    ['POST', path, { body: token, headers: { accept: 'text/html, image/gif, *; q=.2, */*; q=.2' } }],
    ['POST', path, { body: 'token=x', headers: { ...FORM, accept: 'application/json' } }],
    ['PUT', path, {}],
  ])
  for (const [method, path, options] of [
    ...calls,
    ['GET', '/nowhere', {}] as const,
    ['GET', '/me', { bearer: 'x', headers: { accept: ACCEPT } }] as const,
  ]) {
    const answer = await server.call(method, path, options)
    t.match(answer.headers.get('content-type'), /^application\/problem\+json/, `${method} ${path}`)
    t.equal(answer.body.status, answer.status)
  }
})

t.test('a limit is a page that says when to try again', async (t) => {
  const limited = await startServer(t, {
    env: {
      RATE_LIMITS: 'true',
      RATE_LIMIT_BUDGETS: 'public=30/60',
      TRUST_PROXY: '1',
      APP_NAME: 'Tea & <Cake>',
    },
  })
  for (const method of ['GET', 'POST']) {
    const headers = { ...FORM, 'x-forwarded-for': `198.18.${randomInt(256)}.${randomInt(1, 255)}` }
    const path = '/auth/unlock?token=x'
    const call = () =>
      limited.call(method, method === 'GET' ? path : '/auth/unlock', {
        headers:
          method === 'GET' ? { accept: ACCEPT, 'x-forwarded-for': headers['x-forwarded-for'] } : headers,
        ...(method === 'POST' ? { body: 'token=x' } : {}),
      })
    for (let count = 0; count < 30; count += 1) t.equal((await call()).status, 400)
    const refused = await call()
    isPage(t, refused, 429, method)
    const seconds = Number(refused.headers.get('retry-after'))
    t.ok(seconds > 2)
    t.match(refused.text, `try again in ${seconds} seconds`.slice(1))
    if (method === 'GET') t.match(refused.text, `href="${path}"`, 'it keeps the link')
  }
})

t.test('a request line that names another host leads nowhere else', async (t) => {
  const limited = await startServer(t, { env: { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'public=1/60' } })
  const { hostname, port, host } = new URL(limited.url)
  const open = async () => {
    const path = 'http://elsewhere.example/auth/unlock?token=x'
    const request = httpRequest({ hostname, port, path, headers: { host, accept: ACCEPT } })
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return { status: response.statusCode, text: await readText(response) }
  }
  await open()
  const refused = await open()
  t.equal(refused.status, 429)
  t.match(refused.text, 'href="/auth/unlock?token=x"')
  t.notMatch(refused.text, 'elsewhere')
})

t.test('an outage and a fault are pages too; a reset keeps its link through them', async (t) => {
  const cut = await startServer(t, { proxies: true, env: { APP_NAME: 'Tea & <Cake>' } })
  const account = await cut.createAccount()
  await cut.post('/auth/request-password-reset', { email: account.email })
  const token = await cut.lastToken(account.email)
  const path = `/auth/reset-password?token=${token}`
  const password = 'a passphrase after the outage'
  const form = { body: new URLSearchParams({ token, password }).toString(), headers: FORM }
  cut.proxies.postgres.cut()
  await eventually(async () => (await cut.call('GET', path)).status === 503)
  for (const answer of [
    await cut.call('GET', path, { headers: { accept: ACCEPT } }),
    await cut.call('POST', '/auth/reset-password', form),
  ]) {
    isPage(t, answer, 503, 'while Postgres is unavailable')
    t.ok(Number(answer.headers.get('retry-after')) > 0)
    t.match(answer.text, /[Tt]ry again/)
  }
  await cut.proxies.postgres.heal()
  await eventually(async () => (await cut.call('GET', path)).status === 200)

  await cut.db.$executeRaw`ALTER TABLE used_tokens RENAME TO used_tokens_renamed`
  const fault = await cut.call('POST', '/auth/reset-password', form)
  isPage(t, fault, 500, 'a fault')
  t.match(fault.text, fault.headers.get('x-request-id') as string)
  t.notMatch(fault.text, /used_tokens|relation/)
  await cut.db.$executeRaw`ALTER TABLE used_tokens_renamed RENAME TO used_tokens`
  t.equal((await cut.call('POST', '/auth/reset-password', form)).status, 200, 'nothing was used up')
})
