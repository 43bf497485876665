import type { SessionState } from './session.ts'

/**
 * `fetch` with an access token for these origins: each names its resource, or none for the token of the server itself.
 * A request whose token turns out to be stale is sent once more.
 */
export function authorizedFetch(
  fetch: typeof globalThis.fetch,
  session: Pick<SessionState, 'accessToken' | 'replaceAccessToken'>,
  resources: () => Readonly<Record<string, string>>,
): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init)
    const resource = resources()[new URL(request.url).origin]
    if (resource === undefined) return fetch(request)
    const again = request.clone()
    const token = await session.accessToken(undefined, resource)
    const answer = await fetch(bearing(request, token))
    if (answer.status !== 401 || !isStale(answer)) return answer
    return fetch(bearing(again, await session.replaceAccessToken(token, resource)))
  }
}

function bearing(request: Request, token: string): Request {
  request.headers.set('authorization', `Bearer ${token}`)
  return request
}

/** RFC 6750 §3.1 */
const isStale = (answer: Response) => /\binvalid_token\b/.test(answer.headers.get('www-authenticate') ?? '')
