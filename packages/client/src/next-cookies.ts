/** The part of a request's headers that is read: `Headers`, or what `await headers()` of Next returns. */
export type ReadableHeaders = Pick<Headers, 'get'>

/** The cookies of one request: those of the server, and some of the app's own that only the app reads. */
export interface RequestCookies {
  /** Those of the refresh token; empty if the browser has none. */
  refreshToken: string
  /** A hash of the refresh token whose session has ended for certain. */
  ended: string | undefined
  accessToken: string | undefined
  /** The `Idempotency-Key` of the next refresh. */
  attempt: string | undefined
  /** The header `Cookie` for the server, without any cookie that is not its own. */
  forServer: string
}

/** What the server answered to a sign-in or a refresh, as far as the cookies depend on it. */
export interface Tokens {
  access_token: string
  /** Seconds. */
  expires_in: number
}

const isSecure = (origin: string) => origin.startsWith('https://')
// Over https the prefix keeps other hosts of the domain from setting it.
const nameOf = (origin: string, name: string) => `${isSecure(origin) ? '__Host-' : ''}ratchet-app-${name}`
const accessName = (origin: string) => nameOf(origin, 'access')
const attemptName = (origin: string) => nameOf(origin, 'attempt')
const endedName = (origin: string) => nameOf(origin, 'ended')

const SERVERS = /^(__Host-)?ratchet(?!-app-)[\w.-]*$/
const REFRESH = /^(__Host-ratchet|ratchet-dev)(\.[\w.-]+)?$/

function pairsOf(cookie: string): [name: string, value: string][] {
  // Browsers separate them by one space; other kinds of space are part of a name, which a sibling host may have set.
  return cookie.split(/; */).map((pair) => {
    const at = pair.indexOf('=')
    return [pair.slice(0, at), pair.slice(at + 1)]
  })
}

export function readCookies(headers: ReadableHeaders, origin: string): RequestCookies {
  const pairs = pairsOf(headers.get('cookie') ?? '')
  const find = (name: string) => pairs.find((pair) => pair[0] === name)?.[1] || undefined
  const textOf = (names: RegExp) =>
    pairs
      .filter(([name]) => names.test(name))
      .map((pair) => pair.join('='))
      .join('; ')
  return {
    refreshToken: textOf(REFRESH),
    ended: find(endedName(origin)),
    accessToken: find(accessName(origin)),
    attempt: find(attemptName(origin)),
    forServer: textOf(SERVERS),
  }
}

const write = (origin: string, name: string, value: string, attributes: string) =>
  `${name}=${value}; Path=/; HttpOnly; SameSite=Lax${isSecure(origin) ? '; Secure' : ''}${attributes}`

/**
 * The lines of `Set-Cookie` for an answer that has tokens: none if its refresh token is in no cookie. The attempt is kept
 * as long as the refresh token. The access token goes while it is still valid, so that no page is rendered with one that
 * expires meanwhile.
 */
export async function cookiesFor(
  { access_token, expires_in }: Tokens,
  answer: Response,
  { attempt, ended }: RequestCookies,
  origin: string,
): Promise<string[]> {
  const refresh = answer.headers.getSetCookie().findLast((line) => REFRESH.test(line.split('=')[0] ?? ''))
  if (!refresh) return []
  const kept = /;\s*max-age=(\d+)/i.exec(refresh)?.[1]
  const lines = [
    write(origin, attemptName(origin), await attemptAfter(attempt), kept ? `; Max-Age=${kept}` : ''),
  ]
  if (ended) lines.push(write(origin, endedName(origin), '', '; Max-Age=0'))
  if (!opensServer(access_token)) return lines
  const seconds = Math.ceil(expires_in - Math.min(EARLY_SECONDS, expires_in / 2))
  return [...lines, write(origin, accessName(origin), access_token, `; Max-Age=${seconds}`)]
}

/** The lines of `Set-Cookie` after which the app has no tokens of the session. */
export const cookiesWithoutTokens = (origin: string): string[] =>
  [accessName(origin), attemptName(origin)].map((name) => write(origin, name, '', '; Max-Age=0'))

/**
 * The lines of `Set-Cookie` for a session that has ended. The refresh token stays and is marked: a browser that has signed
 * in meanwhile would lose its new one by an answer that comes late.
 */
export async function cookiesAfterEnd({ refreshToken }: RequestCookies, origin: string): Promise<string[]> {
  return [...cookiesWithoutTokens(origin), write(origin, endedName(origin), await hash(refreshToken), '')]
}

/** Whether there is a refresh token that may still be good. */
export const mayRenew = async ({ refreshToken, ended }: RequestCookies): Promise<boolean> =>
  refreshToken !== '' && (ended === undefined || ended !== (await hash(refreshToken)))

/** The header `Cookie` that a browser would send after an answer with these lines of `Set-Cookie`. */
export function applyCookies(cookie: string, lines: readonly string[]): string {
  const kept = new Map(pairsOf(cookie).filter(([name]) => name !== ''))
  for (const line of lines) {
    const [pair = ''] = line.split(';')
    const [[name, value]] = pairsOf(pair) as [[string, string]]
    kept.delete(name)
    if (value !== '') kept.set(name, value)
  }
  return [...kept].map((pair) => pair.join('=')).join('; ')
}

const EARLY_SECONDS = 30

/** One for another API (`resource`) does not open the server. */
function opensServer(token: string): boolean {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
  const { iss, aud } = JSON.parse(atob(payload))
  return iss === aud
}

/**
 * Follows from the attempt before, so that the answers of parallel refreshes, which give the same refresh token, also give
 * the same attempt. The first is random.
 */
async function attemptAfter(attempt: string | undefined): Promise<string> {
  return attempt ? hash(attempt) : hexadecimal(crypto.getRandomValues(new Uint8Array(32)))
}

const hash = async (text: string): Promise<string> =>
  hexadecimal(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))))

const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
