import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { startServer } from '../../../test/support/server.ts'
import { createAuthClient } from '../src/index.ts'
import { createRouteHandler, readSession } from '../src/next.ts'

const APP = 'https://app.example.com'
const server = await startServer(t)
const path = '/api/ratchet'
const handlers = createRouteHandler({ baseUrl: server.url, path })

/** An app that has nothing but the route handler, called as Next calls it. */
const app = createServer(async (request, response) => {
  const method = request.method as keyof typeof handlers
  const body = method === ('GET' as typeof method) ? null : await buffer(request)
  const headers = Object.entries(request.headers).map(
    ([name, value]) => [name, String(value)] as [string, string],
  )
  const answer = await handlers[method](
    new Request(`${APP}${request.url}`, { method, headers, body: body as BodyInit | null }),
  )
  for (const [name, value] of answer.headers) if (name !== 'set-cookie') response.setHeader(name, value)
  response.setHeader('set-cookie', answer.headers.getSetCookie())
  response.writeHead(answer.status)
  if (answer.body) Readable.fromWeb(answer.body as never).pipe(response)
  else response.end()
})
app.listen(0, '127.0.0.1')
await once(app, 'listening')
t.teardown(async () => {
  app.closeAllConnections()
  app.close()
})
const origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`

/** `fetch` of a browser at the app: it keeps cookies and names its origin. */
function browserFetch() {
  const jar = new Map<string, string>()
  const browser: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    request.headers.set('origin', APP)
    request.headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '))
    const answer = await fetch(request)
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const at = pair.indexOf('=')
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(pair.slice(0, at))
      else jar.set(pair.slice(0, at), pair.slice(at + 1))
    }
    return answer
  }
  return { browser, cookie: () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ') }
}

t.test('a browser signs in through the app, and a server component sees who it is', async (t) => {
  const { browser, cookie } = browserFetch()
  const client = createAuthClient({ baseUrl: `${origin}${path}/`, fetch: browser })
  t.teardown(async () => client.dispose())
  const account = await server.createAccount()
  t.equal(await readSession({ baseUrl: server.url }, cookie()), null)
  t.match(await client.signIn(account), { status: 'signed_in', user: { email: account.email } })
  const before = cookie()
  t.match(await readSession({ baseUrl: server.url }, before), { user: { email: account.email } })
  t.match(await client.updateUser({ name: 'Ada L.' }), { name: 'Ada L.' })
  await server.age(3_600_000)
  t.match(
    await readSession({ baseUrl: server.url }, before),
    { user: { name: 'Ada L.' } },
    'nothing was rotated',
  )
  await client.signOut()
  t.equal(await readSession({ baseUrl: server.url }, before), null)
})

t.test('only the server is asked, whatever the path says', async (t) => {
  for (const asked of [
    '/api/other/auth/session',
    '/api/ratchet',
    '/api/ratchet@evil.test/',
    '/api/ratchetx/me',
  ]) {
    const { status } = await handlers.GET(new Request(`${APP}${asked}`))
    t.equal(status, 404, asked)
  }
  const answer = await handlers.GET(new Request(`${APP}${path}//evil.test/auth/session`))
  t.match(await answer.json(), { code: 'not_found' }, 'this server has no such path')
})
