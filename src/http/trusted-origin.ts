import type { FastifyRequest } from 'fastify'
import { Problem } from '../core/problems/problems.ts'

/** Checks whether an `Origin` is this server's or an allowed one; the match is exact, and `null` never matches. */
export interface TrustedOrigins {
  has(origin: string | undefined): boolean
  /** For calls that a cookie authenticates. @throws `origin_not_allowed`, `unsupported_media_type`. */
  require(request: FastifyRequest): void
}

export function createTrustedOrigins(publicUrl: string, allowed: readonly string[]): TrustedOrigins {
  const own = new URL(publicUrl).origin
  const origins = new Set([own, ...allowed])
  const has = (origin: string | undefined) => origin !== undefined && origins.has(origin)
  return {
    has,
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
