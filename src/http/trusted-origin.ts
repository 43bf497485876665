import type { FastifyRequest } from 'fastify'
import { Problem } from '../core/problems/problems.ts'
import type { ServerCookie } from './session-cookies.ts'

/** Checks whether an `Origin` is this server's or an allowed one; the match is exact, and `null` never matches. */
export interface TrustedOrigins {
  has(origin: string | undefined): boolean
  /** Whether a page of another origin sent the request: its cookies do not count, and it gets none. */
  isForeign(request: FastifyRequest): boolean
  /** Every value of a cookie of the request; none if a page of an origin that is not allowed sent it. */
  cookiesOf(request: FastifyRequest, cookie: Pick<ServerCookie, 'valuesIn'>): readonly string[]
  /** For calls that set a cookie. @throws `origin_not_allowed` for a page of an origin that is not allowed. */
  refuseForeign(request: FastifyRequest): void
  /** For calls that a cookie authenticates. @throws `origin_not_allowed`, `unsupported_media_type`. */
  require(request: FastifyRequest): void
}

export function createTrustedOrigins(publicUrl: string, allowed: readonly string[]): TrustedOrigins {
  const own = new URL(publicUrl).origin
  const origins = new Set([own, ...allowed])
  const has = (origin: string | undefined) => origin !== undefined && origins.has(origin)
  // Without an `Origin` it is no page, or a page of this server.
  const isForeign = ({ headers: { origin } }: FastifyRequest) => origin !== undefined && !has(origin)
  return {
    has,
    isForeign,
    cookiesOf: (request, cookie) => (isForeign(request) ? [] : cookie.valuesIn(request)),
    refuseForeign(request) {
      if (isForeign(request)) throw new Problem('origin_not_allowed')
    },
    require(request) {
      const { origin } = request.headers
      if (!has(origin)) throw new Problem('origin_not_allowed')
      // A cross-site request with our own origin is contradictory, so it is refused.
      const crossSite = request.headers['sec-fetch-site'] === 'cross-site'
      if (crossSite && origin === own && !allowed.includes(own)) throw new Problem('origin_not_allowed')
      const json = /^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')
      if (!json) throw new Problem('unsupported_media_type')
    },
  }
}
