import type { Schemas } from './schemas.ts'

export interface NextOptions {
  /** Where the server is. It has the origin of the app in its `ALLOWED_ORIGINS`. */
  baseUrl: string
  /** The path of the route handler, such as `/api/ratchet` for `app/api/ratchet/[...path]/route.ts`. */
  path: string
  fetch?: typeof globalThis.fetch
}

type Handler = (request: Request) => Promise<Response>

/** Headers of one connection (RFC 9110 §7.6.1), and those that `fetch` sets itself. */
const OWN_HEADERS = [
  'connection',
  'content-encoding',
  'content-length',
  'host',
  'keep-alive',
  'transfer-encoding',
]

function passOn(headers: Headers): Headers {
  const passed = new Headers(headers)
  for (const name of OWN_HEADERS) passed.delete(name)
  return passed
}

/**
 * Passes the calls of a browser on to the server, so that its cookies are those of the app's own site. A page then uses
 * `createAuthClient({ baseUrl: location.origin + path })`.
 *
 * @example
 * export const { GET, POST, PATCH, DELETE } = createRouteHandler({ baseUrl, path: '/api/ratchet' })
 */
export function createRouteHandler({
  baseUrl,
  path,
  fetch = globalThis.fetch,
}: NextOptions): Record<'GET' | 'POST' | 'PATCH' | 'DELETE', Handler> {
  const handle: Handler = async (request) => {
    const { pathname, search } = new URL(request.url)
    if (!pathname.startsWith(`${path}/`)) return new Response(null, { status: 404 })
    // What follows begins with a slash, so no other host can be named.
    const asked = baseUrl.replace(/\/+$/, '') + pathname.slice(path.length) + search
    const answer = await fetch(asked, {
      method: request.method,
      headers: passOn(request.headers),
      redirect: 'manual',
      ...(request.method === 'GET' ? {} : { body: await request.arrayBuffer() }),
    })
    return new Response(answer.body, { status: answer.status, headers: passOn(answer.headers) })
  }
  return { GET: handle, POST: handle, PATCH: handle, DELETE: handle }
}

/**
 * Who is signed in, for a server component: `null` for a visitor. It looks and changes nothing, because a server component
 * cannot set the cookie that a refresh would need.
 * @param cookie the header `Cookie` of the request, such as `(await cookies()).toString()`.
 */
export async function readSession(
  { baseUrl, fetch = globalThis.fetch }: Pick<NextOptions, 'baseUrl' | 'fetch'>,
  cookie: string,
): Promise<Schemas['CurrentSession'] | null> {
  const answer = await fetch(`${baseUrl.replace(/\/+$/, '')}/auth/session`, {
    headers: { cookie, 'sec-fetch-site': 'same-origin' },
    cache: 'no-store',
  })
  if (!answer.ok) throw new Error(`the session cannot be read: ${answer.status}`)
  return answer.json()
}
