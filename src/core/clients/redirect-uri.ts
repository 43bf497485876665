import { parseUrl } from '../../platform/parse-url.ts'

// What RFC 3986 §2 allows, but for the fragment and the asterisk, which some would read as a wildcard.
const CHARACTERS = /^(?:[A-Za-z0-9\-._~:/?[\]@!$&'()+,;=]|%[0-9A-Fa-f]{2})+$/
// Also what a server behind the client's proxy could decode to one, or decode twice.
const ENCODED_CONTROL = /%(?:[01][0-9a-f]|7f)/i
const ENCODED_IN_PATH = /%(?:25|2e|2f|5c)/i
// RFC 3986 §3: scheme, authority, path, query.
const PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?]*))?([^?]*)(\?.*)?$/
const LONGEST = 2_000

const LOOPBACK = /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(?::([1-9]\d{0,4}))?(?=[/?]|$)(.*)$/

/** Whether a client may register it (RFC 9700 §4.1, RFC 8252 §7 and §8.4). */
export const isValidRedirectUri = (text: string): boolean => redirectUriFault(text) === null

/** What is wrong with a redirect URI and what would be right, as the rest of a sentence; null if nothing is. */
export function redirectUriFault(text: string): string | null {
  const fault = uriFault(text)
  if (fault) return fault
  const [, scheme = '', authority] = PARTS.exec(text) ?? []
  if (/^https?$/i.test(scheme)) return webFault(text)
  if (!scheme.includes('.'))
    return 'must begin with https://, or with a scheme that is a domain of its owner in reverse, such as com.example.app:/'
  if (authority === undefined && !text.startsWith(`${scheme}:/`))
    return `must go on with a path, such as ${scheme}:/callback`
  return scheme === scheme.toLowerCase() ? null : 'must have its scheme in lower case'
}

/** The same for the address of a page or an endpoint: https, or http on this machine. */
export const webUriFault = (text: string): string | null => uriFault(text) ?? webFault(text)

/**
 * Whether an authorization request may name this redirect URI (RFC 9700 §4.1.3): it is the registered one, character by
 * character. With a loopback address the port may be any (RFC 8252 §7.3), because the system chooses it.
 */
export function matchesRedirectUri(registered: string, presented: string): boolean {
  if (registered === presented) return true
  const [ours, theirs] = [LOOPBACK.exec(registered), LOOPBACK.exec(presented)]
  if (!ours || !theirs || Number(theirs[2] ?? 80) > 65_535) return false
  return ours[1] === theirs[1] && rest(ours) === rest(theirs)
}

/** Path and query; an empty path is the root (RFC 9110 §4.2.3). */
const rest = ([, , , text = '']: RegExpExecArray) => (text.startsWith('/') ? text : `/${text}`)

function uriFault(text: string): string | null {
  if (text.length > LONGEST) return `must have at most ${LONGEST} characters`
  if (text.includes('#')) return 'must have no fragment'
  if (text.includes('*')) return 'must be complete: there are no wildcards'
  if (!CHARACTERS.test(text)) return 'must have only the characters of a URI (RFC 3986)'
  const [, , authority = '', path = ''] = PARTS.exec(text) ?? []
  if (ENCODED_CONTROL.test(text)) return 'must have no control characters'
  if (authority.includes('@')) return 'must have no user information'
  if (ENCODED_IN_PATH.test(path))
    return 'must have no encoded dot, slash, backslash or percent sign in its path'
  // `..;` is the parent folder to servers that cut path parameters off.
  if (path.split('/').some((segment) => /^\.{1,2}(?:;|$)/.test(segment)))
    return 'must have no . or .. in its path'
  if (/[[\]]/.test(path)) return 'must have brackets only around an IPv6 address'
  return PARTS.test(text) ? null : 'must be an absolute URI, such as https://app.example.com/callback'
}

function webFault(text: string): string | null {
  const url = parseUrl(text)
  if (!url || !/^https?:\/\//i.test(text) || url.hostname === '')
    return 'must be an absolute URI, such as https://app.example.com/callback'
  // Servers read other spellings in different ways.
  if (text !== url.href && `${text}/` !== url.href) return `must be written as ${url.href}`
  if (url.protocol === 'http:' && !LOOPBACK.test(text))
    return 'must begin with https://; http:// is for 127.0.0.1, [::1] and localhost'
  return null
}
