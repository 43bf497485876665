import type { FastifyRequest } from 'fastify'
import { Problem } from '../core/problems/problems.ts'

/** Whether an `Origin` is this server's or an allowed one; exact, and never `null`. */
export interface TrustedOrigins {
  has(origin: string | undefined): boolean
  /** For calls that a cookie authenticates. @throws `origin_not_allowed`. */
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
      // A browser that says cross-site while the origin claims to be our own contradicts itself.
      const crossSite = request.headers['sec-fetch-site'] === 'cross-site'
      if (crossSite && origin === own && !allowed.includes(own)) throw new Problem('origin_not_allowed')
      const json = /^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')
      if (!json) throw new Problem('unsupported_media_type')
    },
  }
}
