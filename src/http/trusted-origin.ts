import type { FastifyRequest } from 'fastify'
import { Problem } from '../core/problems/problems.ts'
import { isLoopback } from '../platform/loopback.ts'
import { parseUrl } from '../platform/parse-url.ts'
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
  /**
   * For forms of the built-in pages: another page could sign a browser in to the account of its choice.
   * @throws `origin_not_allowed` for any page but this server's, and for what is no page.
   */
  requireOwn(request: FastifyRequest): void
  /** For calls that a cookie authenticates. @throws `origin_not_allowed`, `unsupported_media_type`. */
  require(request: FastifyRequest): void
  /**
   * For calls that only read by a cookie: whether it counts. A same-origin GET has no `Origin`, so that Fetch Metadata
   * decides; a client that sends neither gets what a visitor gets. @throws `origin_not_allowed` for any other page.
   */
  mayRead(request: FastifyRequest): boolean
}

/** Whether it is the origin of a page of this machine, on any port: those are allowed by the development server. */
export function isLocalOrigin(origin: string): boolean {
  const url = parseUrl(origin)
  return url?.protocol === 'http:' && url.origin === origin && isLoopback(url.hostname)
}

/** Origins, each exactly as browsers send it, or what decides about one. */
export type AllowedOrigins = readonly (string | ((origin: string) => boolean))[]

export const isListed = (origin: string, allowed: AllowedOrigins): boolean =>
  allowed.some((each) => (typeof each === 'string' ? each === origin : each(origin)))

export function createTrustedOrigins(publicUrl: string, allowed: AllowedOrigins): TrustedOrigins {
  const own = new URL(publicUrl).origin
  const has = (origin: string | undefined) =>
    origin !== undefined && (origin === own || isListed(origin, allowed))
  // Without an `Origin` it is no page, or a page of this server.
  const isForeign = ({ headers: { origin } }: FastifyRequest) => origin !== undefined && !has(origin)
  // A cross-site request with our own origin is contradictory, so it is refused.
  const isContradictory = ({ headers }: FastifyRequest) =>
    headers['sec-fetch-site'] === 'cross-site' && headers.origin === own && !allowed.includes(own)
  return {
    has,
    isForeign,
    cookiesOf: (request, cookie) => (isForeign(request) ? [] : cookie.valuesIn(request)),
    refuseForeign(request) {
      if (isForeign(request)) throw refusal(request)
    },
    requireOwn(request) {
      const { origin, 'sec-fetch-site': site } = request.headers
      // Under any other name that is allowed, such as 127.0.0.1 in development, Fetch Metadata says whose page it is.
      const isOwn = origin === own || (has(origin) && site === 'same-origin')
      if (!isOwn || isContradictory(request)) throw refusal(request)
    },
    require(request) {
      const { origin } = request.headers
      if (!has(origin)) throw refusal(request)
      if (isContradictory(request)) throw refusal(request)
      const json = /^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')
      if (!json) throw new Problem('unsupported_media_type')
    },
    mayRead(request) {
      const site = request.headers['sec-fetch-site']
      if (isForeign(request) || isContradictory(request)) throw refusal(request)
      if (request.headers.origin !== undefined) return true
      // A page that asks without CORS: an image, a script, a link.
      if (site !== undefined && site !== 'same-origin' && site !== 'none') throw refusal(request)
      return site !== undefined
    },
  }
}

const refusal = ({ headers: { origin } }: FastifyRequest) =>
  new Problem('origin_not_allowed', {
    detail:
      origin === undefined
        ? 'The request has no Origin header that names an allowed page.'
        : 'ALLOWED_ORIGINS of the server does not list the origin of this page.',
  })
