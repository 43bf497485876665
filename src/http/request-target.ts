import type { IncomingMessage } from 'node:http'

const AUTHORITY = /^https?:\/\/[^/?#]*/i

/**
 * The target of a request as all of this server expects it: a path. A client may also send the URL in full, as to a proxy
 * (RFC 9112 §3.2.2); its host means as little as the header `Host` does.
 */
export function rewriteUrl({ url = '/' }: Pick<IncomingMessage, 'url'>): string {
  if (url.startsWith('/')) return url
  const path = url.replace(AUTHORITY, '')
  return path === url || path.startsWith('/') ? path : `/${path}`
}
