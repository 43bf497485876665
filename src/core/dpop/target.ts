import { parseUrl } from '../../platform/parse-url.ts'

/**
 * What a proof is compared by (`htu`, RFC 9449 §4.3): a URL without query and fragment, after the normalisation of
 * RFC 3986 §6.2.2 and §6.2.3. Null for a text that is no http(s) URL, or has a user or a password.
 */
export function normalTarget(text: string): string | null {
  if (!/^https?:\/\/[^\s\\]+$/i.test(text)) return null
  const url = parseUrl(text)
  if (!url || url.username || url.password) return null
  return url.origin + url.pathname.replace(/%[0-9a-f]{2}/gi, decodeUnreserved)
}

function decodeUnreserved(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(character) ? character : encoded.toUpperCase()
}
