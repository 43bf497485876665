import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../core/problems/problems.ts'
import type { AccessTokenClaims, AccessTokens } from '../core/tokens/tokens.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The verified access token, on routes behind `authenticate`. */
    session: AccessTokenClaims
  }
}

export type Authenticate = (
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
) => void

/** A hook that lets only a person's own, live access token pass (RFC 6750 §2.1: header only). */
export function createAuthenticate(accessTokens: AccessTokens, scope: string): Authenticate {
  function admit(request: FastifyRequest, claims: AccessTokenClaims): void {
    if (!claims.scope.split(' ').includes(scope)) throw new Problem('access_token_invalid')
    request.session = claims
  }

  // Not an async function: a token that was checked before is admitted without a turn of the event loop.
  return (request, _reply, done) => {
    try {
      const token = bearerOf(request)
      if (!token) throw new Problem('access_token_invalid')
      const claims = accessTokens.verify(token)
      if (claims instanceof Promise) {
        claims.then((late) => admit(request, late)).then(() => done(), done)
        return
      }
      admit(request, claims)
    } catch (error) {
      return done(error as Error)
    }
    done()
  }
}

/** The bearer token of a request, if it has one. */
export function bearerOf(request: FastifyRequest): string | undefined {
  const header = request.headers.authorization
  return header && /^bearer /i.test(header) ? header.slice(7) : undefined
}
