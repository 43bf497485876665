/**
 * The URL that a text is; null if it is none. Not `URL.canParse`: once it is compiled, Node 22 says no to hosts with
 * letters such as ü.
 */
export function parseUrl(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}
