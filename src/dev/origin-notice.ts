import type { FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { createTrustedOrigins, isLocalOrigin } from '../http/trusted-origin.ts'

const MOST = 100

/**
 * Says once for each origin that is not allowed how to allow it: the browser only tells the page that CORS refused it,
 * and most such requests end before any route sees them.
 */
export function createOriginNotice({
  publicUrl,
  allowedOrigins,
}: Pick<Config, 'publicUrl' | 'allowedOrigins'>): (request: FastifyRequest) => void {
  const origins = createTrustedOrigins(publicUrl, [...allowedOrigins, isLocalOrigin])
  const noticed = new Set<string>()
  return (request) => {
    const { origin } = request.headers
    if (origin === undefined || origins.has(origin) || noticed.has(origin) || noticed.size >= MOST) return
    noticed.add(origin)
    request.log.warn({ origin }, adviceFor(origin, allowedOrigins))
  }
}

/** The advice is pasted into a shell. */
const PASTABLE = /^[a-z][a-z0-9+.-]*:\/\/(?:[a-z0-9._-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i

function adviceFor(origin: string, allowed: readonly string[]): string {
  if (origin === 'null') {
    return 'a page without an origin, such as a file, cannot use cookies: serve it from http://localhost'
  }
  if (!PASTABLE.test(origin)) return 'a page of an origin that cannot be allowed'
  return `${origin} is not an allowed origin. To allow it: ALLOWED_ORIGINS=${[...allowed, origin].join(',')} npm run dev`
}
