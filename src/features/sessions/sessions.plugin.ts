import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { PendingAuditEvent } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { EndedReason } from '../../core/reasons/reasons.ts'
import type { RevocationScope } from '../../core/sessions/sessions.ts'
import type { Uses } from '../../core/uses.ts'
import { bearerOf } from '../../http/authenticate.ts'
import { type Limits, spendPoint } from '../../http/limits.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, strict, TokenResponse, Uuid } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import { ResourceOfToken, type TokenResponses } from '../../http/token-response.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { type CurrentSessionRoutesUses, currentSessionRoutes } from './current-session.routes.ts'
import { listSessionsRoutes } from './list-sessions.routes.ts'
import { logout } from './logout.ts'
import { type RefreshUses, refresh } from './refresh.ts'
import { RefreshHeaders } from './refresh-headers.ts'

export type SessionsUses = RefreshUses &
  CurrentSessionRoutesUses &
  Uses<'db' | 'accessTokens' | 'clock' | 'events'> & {
    origins: TrustedOrigins
    limits: Limits
    cookies: SessionCookies
    tokens: TokenResponses
  }

const RefreshToken = Type.Optional(Type.String({ maxLength: 512 }))
const RefreshBody = Type.Object(
  { refresh_token: RefreshToken, resource: ResourceOfToken },
  { ...strict, examples: [{}] },
)
const LogoutBody = Type.Object({ refresh_token: RefreshToken }, { ...strict, examples: [{}] })
type RefreshRequest = FastifyRequest<{ Body: { refresh_token?: string } }>

/** Refreshing, listing and ending sessions. */
export const sessions: FastifyPluginAsyncTypebox<SessionsUses> = async (app, uses) => {
  const { origins, limits, tokens } = uses
  const cookies = uses.cookies.refresh
  const tags = ['sessions']
  await app.register(cookie, { hook: false })
  await app.register(currentSessionRoutes, uses)
  await app.register(listSessionsRoutes, uses)

  app.post(
    '/auth/refresh',
    {
      config: { limit: 'in_handler' },
      schema: {
        operationId: 'refresh',
        security: [{ cookie: [] }, {}],
        tags,
        summary: 'Rotate the refresh token',
        description:
          'Send the token in its cookie, with an empty body or `{}`, or as `refresh_token` in the body; the response ' +
          'returns the next one in the same way. Of several cookies, that of the latest sign-in which still works is ' +
          'used, and the sessions of the others end. With a cookie, the request needs a JSON content type and an allowed ' +
          '`Origin`. Send an `Idempotency-Key`, the same for every retry: if a response was lost, a retry then gets ' +
          'the same token again. With `resource` the access token is for that API of yours, and does not open this server; ' +
          'the refresh token is good for every one. Only refusals count towards the rate limit.',
        headers: RefreshHeaders,
        body: RefreshBody,
        response: { 200: TokenResponse },
        problems: [
          'invalid_target',
          'refresh_token_invalid',
          'session_ended',
          'refresh_superseded',
          'origin_not_allowed',
          'too_many_attempts',
        ],
      },
    },
    async (request, reply) => {
      const { texts, transport } = presented(request)
      const target = tokens.targetOf(request.body.resource)
      const idempotencyKey = request.headers['idempotency-key']
      const context = contextOf(request)
      const refused = async (event: PendingAuditEvent) => {
        await limits.refresh_refused(request, reply, (await budgetOfSession(request)) ?? undefined)
        uses.events.recordSoon(event, context)
      }
      const issued = await refresh(uses, texts, idempotencyKey, context, refused)
      return tokens.respond(reply, issued, transport, target)
    },
  )

  app.post(
    '/auth/logout',
    {
      config: { limit: 'logout', ownBudget: budgetOfSession },
      schema: {
        operationId: 'signOut',
        security: [{ cookie: [] }, { bearer: [] }, {}],
        tags,
        summary: 'End this session',
        description:
          'Ends the sessions of the refresh tokens, in cookies or body, of the access token, or of both. An access ' +
          'token may have expired, a day ago at most. 204 means that the sessions have ended, or that no token was ' +
          'sent; a token that cannot be read is answered with 401, after the session of the other has ended. A refresh ' +
          'token that was replaced is recorded as reused, ' +
          'unless the `Idempotency-Key` of that refresh is sent along. Tokens of third parties end nothing here.',
        headers: RefreshHeaders,
        body: LogoutBody,
        response: { 204: NoContent },
        problems: [
          'refresh_token_invalid',
          'access_token_invalid',
          'origin_not_allowed',
          'revocation_pending',
        ],
      },
    },
    async (request, reply) => {
      const { texts, transport } = presented(request)
      // A page of a stranger cannot end what the cookies name.
      const inCookies = transport === 'body' ? origins.cookiesOf(request, cookies) : texts
      const { authorization } = request.headers
      const sent = {
        idempotencyKey: request.headers['idempotency-key'],
        refreshTokens: [...new Set([...texts, ...inCookies])],
        accessToken: authorization === undefined ? undefined : (bearerOf(request) ?? ''),
      }
      const { ended, unreadable } = await logout(uses, sent, contextOf(request))
      if (inCookies.length > 0) cookies.expire(reply)
      if (unreadable) throw new Problem(unreadable)
      // A success that nobody needed.
      if (ended === 0) spendPoint(request)
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/logout-all',
    {
      config: { auth: 'user', limit: 'end_sessions' },
      schema: {
        operationId: 'signOutEverywhere',
        tags,
        summary: 'End every session',
        description: 'Signs the account out everywhere, this session included.',
        response: { 204: NoContent },
        problems: ['revocation_pending'],
      },
    },
    async (request, reply) => {
      await end(request, { userId: userOf(request).userId }, 'logout_all', 'logout')
      return reply.status(204).send(null)
    },
  )

  app.delete(
    '/auth/sessions/:id',
    {
      config: { auth: 'user', limit: 'end_sessions' },
      schema: {
        operationId: 'endSession',
        tags,
        summary: 'End one session',
        description: 'Its tokens stop working everywhere within a second.',
        params: Type.Object({ id: Uuid }),
        response: { 204: NoContent },
        problems: ['not_found', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const { userId } = userOf(request)
      if ((await uses.sessions.find(uses.db, id))?.userId !== userId) throw new Problem('not_found')
      await end(request, { sessionId: id, userId }, 'revoked', 'session_end')
      return reply.status(204).send(null)
    },
  )

  app.delete(
    '/auth/sessions',
    {
      config: { auth: 'user', limit: 'end_sessions' },
      schema: {
        operationId: 'endOtherSessions',
        tags,
        summary: 'End every other session',
        description: 'Ends all but the session of the access token.',
        response: { 204: NoContent },
        problems: ['revocation_pending'],
      },
    },
    async (request, reply) => {
      const { userId, sessionId } = userOf(request)
      await end(request, { userId, exceptSessionId: sessionId }, 'revoked', 'session_end')
      return reply.status(204).send(null)
    },
  )

  /** The refresh tokens of a request. Cookies are accepted only from this server's origin or an allowed one. */
  function presented(request: RefreshRequest) {
    const inBody = request.body.refresh_token
    if (inBody !== undefined) return { texts: [inBody], transport: 'body' as const }
    const texts = cookies.valuesIn(request)
    if (texts.length > 0) origins.require(request)
    return { texts, transport: 'cookie' as const }
  }

  /** A client with a genuine refresh token is not refused because of what others send from its address. */
  async function budgetOfSession(request: FastifyRequest): Promise<string | null> {
    const [token] = uses.sessions.readTokens(presented(request as RefreshRequest).texts)
    return token ? `session:${token.familyHash}` : null
  }

  const end = (
    request: FastifyRequest,
    scope: RevocationScope,
    reason: EndedReason,
    type: 'logout' | 'session_end',
  ) => uses.sessions.end(scope, reason, type, contextOf(request))
}
