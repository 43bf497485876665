import type { FastifyReply, FastifyRequest } from 'fastify'
import { ACCOUNT_SCOPE } from '../core/clients/clients.ts'
import type { Principal } from '../core/principals/principals.ts'
import { Problem } from '../core/problems/problems.ts'
import type { AccessTokens } from '../core/tokens/tokens.ts'

export type Authenticate = (
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
) => void

/** Hooks that accept a valid access token of a user's own session, or also one of a client (RFC 6750 §2.1: header only). */
export function createAuthenticate(accessTokens: Pick<AccessTokens, 'verify'>): {
  user: Authenticate
  userOrClient: Authenticate
} {
  const isUser = (principal: Principal) =>
    principal.kind === 'user' && principal.scope.includes(ACCOUNT_SCOPE)
  return {
    user: createHook(accessTokens, isUser),
    userOrClient: createHook(accessTokens, (principal) => isUser(principal) || principal.kind === 'client'),
  }
}

function createHook(
  accessTokens: Pick<AccessTokens, 'verify'>,
  accepts: (principal: Principal) => boolean,
): Authenticate {
  function admit(request: FastifyRequest, principal: Principal): void {
    if (!accepts(principal)) throw new Problem('access_token_invalid')
    request.principal = principal
  }

  // Not an async function, so that a cached token is accepted within the same turn of the event loop.
  return (request, _reply, done) => {
    try {
      const token = bearerOf(request)
      if (!token) throw new Problem('access_token_invalid')
      const principal = accessTokens.verify(token)
      if (principal instanceof Promise) {
        principal.then((late) => admit(request, late)).then(() => done(), done)
        return
      }
      admit(request, principal)
    } catch (error) {
      return done(error as Error)
    }
    done()
  }
}

/** The bearer token of a request, if it has one. Any number of spaces may come before it (RFC 9110 §11.4). */
export function bearerOf({ headers: { authorization = '' } }: FastifyRequest): string | undefined {
  // No expression for the whole: it would look at each character of the token.
  const [scheme] = /^bearer +/i.exec(authorization) ?? []
  return scheme && authorization.slice(scheme.length)
}
