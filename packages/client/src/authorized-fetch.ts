import type { SessionState } from './session.ts'

/** `fetch` with the access token for these origins. A request whose token turns out to be stale is sent once more. */
export function authorizedFetch(
  fetch: typeof globalThis.fetch,
  session: Pick<SessionState, 'accessToken' | 'replaceAccessToken'>,
  origins: () => readonly string[],
): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init)
    if (!origins().includes(new URL(request.url).origin)) return fetch(request)
    const again = request.clone()
    const token = await session.accessToken()
    const answer = await fetch(bearing(request, token))
    if (answer.status !== 401 || !isStale(answer)) return answer
    return fetch(bearing(again, await session.replaceAccessToken(token)))
  }
}

function bearing(request: Request, token: string): Request {
  request.headers.set('authorization', `Bearer ${token}`)
  return request
}

/** RFC 6750 §3.1 */
const isStale = (answer: Response) => /\binvalid_token\b/.test(answer.headers.get('www-authenticate') ?? '')
