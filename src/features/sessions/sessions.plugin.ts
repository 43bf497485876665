import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Note } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import { ENDED_REASONS, type EndedReason, type RevocationScope } from '../../core/sessions/ledger.ts'
import { type EndSessionsDeps, endSessions } from '../../core/sessions/revoke-sessions.ts'
import type { AccessTokens } from '../../core/tokens/tokens.ts'
import { type Authenticate, bearerOf } from '../../http/authenticate.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { requestContext } from '../../http/request-origin.ts'
import { NoContent, oneOf, strict, TokenResponse, TRANSPORTS, Uuid } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { RespondWithTokens } from '../../http/token-response.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { listSessions } from './list-sessions.ts'
import { type RefreshDeps, refresh } from './refresh.ts'

export interface SessionsDeps extends EndSessionsDeps, RefreshDeps {
  accessTokens: AccessTokens
  authenticate: Authenticate
  origins: TrustedOrigins
  rateLimits: RateLimits
  cookies: SessionCookies
  respond: RespondWithTokens
}

const RefreshBody = Type.Object(
  { refresh_token: Type.Optional(Type.String({ maxLength: 512 })) },
  { ...strict, examples: [{}] },
)
const RefreshHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: 'The same for every retry of one refresh' }),
  ),
})
const SessionView = Type.Object({
  id: Type.String(),
  current: Type.Boolean(),
  transport: Type.Unsafe<string>(oneOf(TRANSPORTS)),
  user_agent: Type.Union([Type.String(), Type.Null()]),
  ip: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.String(),
  last_used_at: Type.String(),
  expires_at: Type.String(),
  ended_at: Type.Union([Type.String(), Type.Null()]),
  ended_reason: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    enum: [...ENDED_REASONS, 'expired', null],
  }),
})
/** Stay signed in, see and end sessions. */
export const sessions: FastifyPluginAsyncTypebox<SessionsDeps> = async (app, deps) => {
  const { accessTokens, authenticate, origins, rateLimits, refreshTokens, audit, clock, db, respond } = deps
  const jar = deps.cookies.refresh
  const limitRefusals = rateLimits.limit('refresh_refused', 30, 60)
  const limitLogout = rateLimits.limit('logout', 60, 60)
  const tags = ['sessions']
  const security = [{ bearer: [] }]
  await app.register(cookie)

  app.post(
    '/auth/refresh',
    {
      schema: {
        tags,
        summary: 'Turn the refresh token',
        description:
          'The token comes in its cookie, with an empty body or `{}`, or as `refresh_token` in the body; the next one ' +
          'goes back the same way. By cookie it needs a JSON content type and an `Origin` that is allowed. Send an ' +
          '`Idempotency-Key`, the same for every retry: an answer that was lost is then given again. Only refusals ' +
          'count towards a limit.',
        headers: RefreshHeaders,
        body: RefreshBody,
        response: { 200: TokenResponse },
        problems: [
          'refresh_token_invalid',
          'session_ended',
          'refresh_superseded',
          'origin_not_allowed',
          'too_many_attempts',
        ],
      },
    },
    async (request, reply) => {
      const { token, transport } = presented(request)
      const idempotencyKey = request.headers['idempotency-key']
      const origin = requestContext(request)
      // Only refusals cost budget: people who share an address are never limited for refreshing.
      const refused = async (event: Note) => {
        await limitRefusals(request, reply)
        audit.note(event, origin)
      }
      return respond(reply, await refresh(deps, token, idempotencyKey, origin, refused), transport)
    },
  )

  app.post(
    '/auth/logout',
    {
      onRequest: limitLogout,
      schema: {
        tags,
        summary: 'End this session',
        description:
          'Of the refresh token, in cookie or body, of the access token, or of both. 204 whatever they are.',
        body: RefreshBody,
        response: { 204: NoContent },
        problems: ['origin_not_allowed', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      const { token, transport } = presented(request)
      const parsed = token ? refreshTokens.parse(token) : null
      if (parsed) await end(request, { familyHash: parsed.familyHash }, 'logout', 'logout')
      const bearer = bearerOf(request)
      const claims = bearer ? await verified(bearer) : null
      if (claims) await end(request, { sessionId: claims.sid, userId: claims.sub }, 'logout', 'logout')
      if (transport === 'cookie' && token) reply.setCookie(jar.name, '', jar.cleared)
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/logout-all',
    {
      onRequest: authenticate,
      schema: {
        tags,
        security,
        summary: 'End every session',
        response: { 204: NoContent },
        problems: ['revocation_pending'],
      },
    },
    async (request, reply) => {
      await end(request, { userId: request.session.sub }, 'logout_all', 'logout')
      return reply.status(204).send(null)
    },
  )

  app.get(
    '/auth/sessions',
    {
      onRequest: authenticate,
      schema: {
        tags,
        security,
        summary: 'The sessions of this account',
        querystring: Type.Object({ ended: Type.Optional(oneOf(['true', 'false'])) }, strict),
        response: { 200: Type.Object({ sessions: Type.Array(SessionView) }) },
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const { sub, sid } = request.session
      return { sessions: await listSessions(db, sub, sid, request.query.ended === 'true', clock.now()) }
    },
  )

  app.delete(
    '/auth/sessions/:id',
    {
      onRequest: authenticate,
      schema: {
        tags,
        security,
        summary: 'End one session',
        params: Type.Object({ id: Uuid }),
        response: { 204: NoContent },
        problems: ['not_found', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const userId = request.session.sub
      if ((await db.session.count({ where: { id, userId } })) === 0) throw new Problem('not_found')
      await end(request, { sessionId: id, userId }, 'revoked', 'session_end')
      return reply.status(204).send(null)
    },
  )

  app.delete(
    '/auth/sessions',
    {
      onRequest: authenticate,
      schema: {
        tags,
        security,
        summary: 'End every other session',
        response: { 204: NoContent },
        problems: ['revocation_pending'],
      },
    },
    async (request, reply) => {
      const { sub, sid } = request.session
      await end(request, { userId: sub, exceptSessionId: sid }, 'revoked', 'session_end')
      return reply.status(204).send(null)
    },
  )

  /** The refresh token of a call; a cookie counts only from an origin of ours. */
  function presented(request: FastifyRequest<{ Body: { refresh_token?: string } }>) {
    const inBody = request.body.refresh_token
    if (inBody !== undefined) return { token: inBody, transport: 'body' as const }
    const token = request.cookies[jar.name]
    if (token !== undefined) origins.require(request)
    return { token, transport: 'cookie' as const }
  }

  /** Null for a token that is not, or no more, valid: a sign-out has nothing to do then. */
  async function verified(bearer: string) {
    try {
      return await accessTokens.verify(bearer)
    } catch (error) {
      if (error instanceof Problem && error.code === 'access_token_invalid') return null
      throw error
    }
  }

  const end = (
    request: FastifyRequest,
    scope: RevocationScope,
    reason: EndedReason,
    type: 'logout' | 'session_end',
  ) => endSessions(deps, scope, reason, type, requestContext(request))
}
