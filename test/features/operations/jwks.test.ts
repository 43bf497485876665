import t from 'tap'
import { noBrowser, servePage, startBrowser } from '../../support/browser.ts'
import { startServer } from '../../support/server.ts'

const APPS = [
  'https://app.example.com',
  'capacitor://localhost',
  'chrome-extension://aapbdbdomjkkjkaonfhkkikf',
]
const JWKS = '/.well-known/jwks.json'

t.test('pages of listed origins may send credentials, any other page may not', async (t) => {
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: APPS.join() } })
  const headersFor = async (origin: string | undefined) => {
    const { headers, body } = await server.call('GET', JWKS, { headers: origin ? { origin } : {} })
    t.equal(body.keys.length, 1)
    t.match(headers.get('vary'), /\borigin\b/i, 'a shared cache keeps them apart')
    return {
      origin: headers.get('access-control-allow-origin'),
      credentials: headers.get('access-control-allow-credentials'),
    }
  }
  for (const app of APPS) t.strictSame(await headersFor(app), { origin: app, credentials: 'true' })
  for (const other of [undefined, 'null', 'https://evil.example', 'capacitor://localhost.evil.example']) {
    t.strictSame(await headersFor(other), { origin: '*', credentials: null }, `${other}`)
  }
})

t.test('a limit is told to any page too', async (t) => {
  const server = await startServer(t, {
    env: { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'public=1/60' },
  })
  const headers = { origin: 'https://elsewhere.example' }
  await server.call('GET', JWKS, { headers })
  const refused = await server.call('GET', JWKS, { headers })
  t.equal(refused.status, 429)
  t.equal(refused.headers.get('access-control-allow-origin'), '*')
})

t.test('in a real browser', { skip: noBrowser }, async (t) => {
  const html = '<!doctype html><title>App</title>'
  const [listed, other] = [await servePage(t, html), await servePage(t, html)]
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: listed.origin } })
  const page = await (await startBrowser(t)).newPage()
  const read = async (origin: string, credentials: 'include' | 'omit') => {
    await page.goto(origin)
    return page.evaluate(
      ([url, credentials]) =>
        fetch(url, { credentials }).then(
          (answer) => answer.status,
          () => 'refused',
        ),
      [server.url + JWKS, credentials] as const,
    )
  }
  t.equal(await read(listed.origin, 'include'), 200)
  t.equal(await read(listed.origin, 'omit'), 200)
  t.equal(await read(other.origin, 'omit'), 200)
  t.equal(await read(other.origin, 'include'), 'refused')
})
