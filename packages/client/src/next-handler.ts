import {
  cookiesAfterEnd,
  cookiesFor,
  cookiesWithoutTokens,
  readCookies,
  type Tokens,
} from './next-cookies.ts'
import { type NextOptions, serverUrl } from './next-options.ts'

type Handler = (request: Request) => Promise<Response>

/** Headers of one connection (RFC 9110 §7.6.1), and those that `fetch` sets itself. */
const OWN_HEADERS = [
  'connection',
  'content-encoding',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** What the client calls. The server may have more that is not for everybody, such as its metrics. */
const PASSED = /^\/(auth\/|me(\/|$))/
/** Those that look at the refresh token: the attempt tells a retry from a theft. */
const WITH_ATTEMPT = /^\/auth\/(session|refresh|logout)$/

function passOn(headers: Headers): Headers {
  const passed = new Headers(headers)
  for (const name of OWN_HEADERS) passed.delete(name)
  return passed
}

/**
 * Passes the calls of the app's pages on to the server, so that its cookies are those of the app's own site, and keeps the
 * access token in a cookie that only the app reads. A page then uses `createAuthClient({ baseUrl: path })`.
 *
 * @example
 * export const { GET, POST, PATCH, DELETE } = createRouteHandler({ baseUrl, origin, path: '/api/ratchet' })
 */
export function createRouteHandler(
  options: NextOptions,
): Record<'GET' | 'POST' | 'PATCH' | 'DELETE', Handler> {
  const { origin, path, fetch = globalThis.fetch } = options

  const handle: Handler = async (request) => {
    const { pathname, search } = new URL(request.url)
    const asked = pathname.startsWith(`${path}/`) ? pathname.slice(path.length) : ''
    if (!PASSED.test(asked)) return new Response(null, { status: 404 })
    if (!isOwnPage(request, origin)) return REFUSAL()
    const cookies = readCookies(request.headers, origin)
    const headers = passOn(request.headers)
    headers.set('cookie', cookies.forServer)
    if (cookies.attempt && WITH_ATTEMPT.test(asked)) headers.set('idempotency-key', cookies.attempt)
    let answer: Response
    try {
      // The path begins with a slash, so no other host can be named.
      answer = await fetch(serverUrl(options, asked + search), {
        method: request.method,
        headers,
        redirect: 'manual',
        ...(request.body ? { body: request.body, duplex: 'half' } : {}),
      } as RequestInit)
    } catch {
      return new Response(null, { status: 502 })
    }
    const passed = passOn(answer.headers)
    // These pages are of one origin with the app. To any other, the answer is not for reading.
    for (const name of [...passed.keys()]) if (name.startsWith('access-control-')) passed.delete(name)
    const { status } = answer
    const own = isEnd(asked, status)
      ? await cookiesAfterEnd(cookies, origin)
      : isSignOut(asked, status)
        ? cookiesWithoutTokens(origin)
        : []
    for (const line of own) passed.append('set-cookie', line)
    if (request.method !== 'POST' || status !== 200)
      return new Response(answer.body, { status, headers: passed })
    const text = await answer.text()
    const tokens = tokensIn(answer, text)
    const lines = tokens ? await cookiesFor(tokens, answer, cookies, origin) : []
    for (const line of lines) passed.append('set-cookie', line)
    return new Response(text, { status, headers: passed })
  }
  return { GET: handle, POST: handle, PATCH: handle, DELETE: handle }
}

/** A call that may change something comes from a page of the app, or from no page; browsers name the origin. */
function isOwnPage({ method, headers }: Request, own: string): boolean {
  const origin = headers.get('origin')
  return origin === own || (origin === null && method === 'GET')
}

function tokensIn(answer: Response, text: string): Tokens | undefined {
  if (!/^application\/json\b/.test(answer.headers.get('content-type') ?? '')) return
  const said = JSON.parse(text) as Partial<Tokens> | null
  return said?.access_token ? (said as Tokens) : undefined
}

const isEnd = (path: string, status: number) => path === '/auth/refresh' && status === 401

const isSignOut = (path: string, status: number) =>
  (path === '/auth/logout' && (status === 204 || status === 401)) ||
  (path === '/auth/logout-all' && status === 204)

const REFUSAL = () =>
  Response.json(
    {
      type: 'urn:ratchet:problem:origin_not_allowed',
      title: 'The page is not one of this app',
      status: 403,
      code: 'origin_not_allowed',
    },
    { status: 403, headers: { 'content-type': 'application/problem+json' } },
  )
