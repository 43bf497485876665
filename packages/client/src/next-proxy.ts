import type { ProblemDocument } from './client-error.ts'
import {
  applyCookies,
  cookiesAfterEnd,
  cookiesFor,
  mayRenew,
  readCookies,
  type Tokens,
} from './next-cookies.ts'
import { headersFor, type NextOptions, serverUrl } from './next-options.ts'

type Options = Omit<NextOptions, 'path'>

/** `NextResponse.next` of `next/server`. */
type Next<Answer> = (init: { request: { headers: Headers } }) => Answer

interface Renewal {
  /** Lines of `Set-Cookie`. */
  cookies: string[]
  /** Why the session has ended, if it has. */
  ended?: string
}

/** Names the reason to the server components of the request; a browser cannot send it. */
export const ENDED_HEADER = 'ratchet-ended'

const TIMEOUT_MS = 5_000

/**
 * Renews the session before a page is rendered: if the browser has a refresh token and no access token that lasts, it is
 * exchanged once, the page reads the new access token, and the browser gets the new cookies. If the server cannot be asked,
 * the page is rendered without an access token and nothing is lost.
 *
 * @example
 * // proxy.ts
 * export const proxy = createProxy({ baseUrl, origin }, NextResponse.next)
 */
export function createProxy<Answer extends { headers: Headers }>(options: Options, next: Next<Answer>) {
  const { origin } = options
  const underWay = new Map<string, Promise<Renewal>>()

  /** Requests that come at once share one refresh. That only saves calls: the server would answer all alike. */
  function renewOnce(headers: Headers): Promise<Renewal> {
    const key = readCookies(headers, origin).forServer
    const known = underWay.get(key)
    if (known) return known
    const renewal = renew(options, headers).finally(() => underWay.delete(key))
    underWay.set(key, renewal)
    return renewal
  }

  return async (request: { headers: Headers }): Promise<Answer> => {
    const headers = new Headers(request.headers)
    headers.delete(ENDED_HEADER)
    const known = readCookies(headers, origin)
    if (known.accessToken || !(await mayRenew(known))) return next({ request: { headers } })
    const { cookies, ended } = await renewOnce(headers)
    if (ended) headers.set(ENDED_HEADER, ended)
    headers.set('cookie', applyCookies(headers.get('cookie') ?? '', cookies))
    const answer = next({ request: { headers } })
    for (const line of cookies) answer.headers.append('set-cookie', line)
    // Also of a page that is the same for everybody: no cache may give these cookies to another person.
    if (cookies.length > 0) answer.headers.set('cache-control', 'private, no-store')
    return answer
  }
}

async function renew(options: Options, request: Headers): Promise<Renewal> {
  const { origin, fetch = globalThis.fetch } = options
  const known = readCookies(request, origin)
  const headers = headersFor(request, origin)
  headers.set('content-type', 'application/json')
  try {
    const answer = await fetch(serverUrl(options, '/auth/refresh'), {
      method: 'POST',
      headers,
      body: '{}',
      cache: 'no-store',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (answer.status === 200) {
      const tokens = (await answer.json()) as Tokens
      const own = await cookiesFor(tokens, answer, known, origin)
      return { cookies: [...answer.headers.getSetCookie(), ...own] }
    }
    if (answer.status !== 401) return { cookies: [] }
    const { code, reason } = (await answer.json()) as ProblemDocument
    if (code !== 'session_ended' && code !== 'refresh_token_invalid') return { cookies: [] }
    return { cookies: await cookiesAfterEnd(known, origin), ended: reason ?? 'unknown' }
  } catch {
    // No answer, or that of something else: whether the session has ended is not known.
    return { cookies: [] }
  }
}
