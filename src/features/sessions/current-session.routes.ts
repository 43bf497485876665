import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Limits } from '../../http/limits.ts'
import { contextOf } from '../../http/request-context.ts'
import { CurrentSession } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { type CurrentSessionUses, currentSession } from './current-session.ts'
import { RefreshHeaders } from './refresh-headers.ts'

export type CurrentSessionRoutesUses = CurrentSessionUses & {
  origins: TrustedOrigins
  limits: Limits
  cookies: SessionCookies
}

/** Who is signed in, as the first question of a page. */
export const currentSessionRoutes: FastifyPluginAsyncTypebox<CurrentSessionRoutesUses> = async (
  app,
  uses,
) => {
  const { origins, limits, sessions } = uses
  const { refresh } = uses.cookies

  app.get(
    '/auth/session',
    {
      schema: {
        operationId: 'getSession',
        tags: ['sessions'],
        summary: 'Get the session of this browser',
        description:
          'Returns the session of the cookie and its user, or `null` if nobody is signed in, which is no error. It ' +
          'uses nothing up: call `POST /auth/refresh` for an access token. A cookie that was replaced is refused ' +
          'as there, so send the `Idempotency-Key` of a refresh whose response was lost. The cookie counts only for pages of this ' +
          'server and of the allowed origins; a client that sends neither `Origin` nor `Sec-Fetch-Site` gets `null`.',
        security: [{ cookie: [] }, {}],
        headers: RefreshHeaders,
        response: { 200: Type.Union([CurrentSession, Type.Null()]) },
        problems: ['origin_not_allowed', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      const texts = origins.mayRead(request) ? refresh.valuesIn(request) : []
      const tokens = await sessions.newestFirst(sessions.readTokens(texts))
      const idempotencyKey = request.headers['idempotency-key']
      const context = contextOf(request)
      // A visitor costs no store anything. What others send from an address is not counted against its sessions.
      for (const token of tokens) {
        await limits.session(request, reply, `session:${token.familyHash}`)
        const current = await currentSession(uses, token, idempotencyKey, context)
        if (current) return current
      }
      return null
    },
  )
}
