import { type ReadableHeaders, readCookies } from './next-cookies.ts'

export interface NextOptions {
  /** Where the server is, for the machine of the app. It has `origin` in its `ALLOWED_ORIGINS`. */
  baseUrl: string
  /** The origin of the app, such as `https://app.example.com`: calls of pages of any other are refused. */
  origin: string
  /** The path of the route handler, such as `/api/ratchet` for `app/api/ratchet/[...path]/route.ts`. */
  path: string
  fetch?: typeof globalThis.fetch
}

export const serverUrl = ({ baseUrl }: Pick<NextOptions, 'baseUrl'>, path: string) =>
  baseUrl.replace(/\/+$/, '') + path

/** What the server has to know of the browser in a call that the app makes for it. */
export function headersFor(request: ReadableHeaders, origin: string): Headers {
  const { forServer, attempt } = readCookies(request, origin)
  const headers = new Headers({
    accept: 'application/json',
    cookie: forServer,
    origin,
    'sec-fetch-site': 'same-origin',
  })
  if (attempt) headers.set('idempotency-key', attempt)
  for (const name of ['user-agent', 'x-forwarded-for']) {
    const value = request.get(name)
    if (value) headers.set(name, value)
  }
  return headers
}
