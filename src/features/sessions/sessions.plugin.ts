import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { AccessTokens } from '../../core/access-tokens/access-tokens.ts'
import type { Note } from '../../core/audit/audit.ts'
import type { EndedReason, EndingScope } from '../../core/refresh-tokens/ledger.ts'
import type { IssuedSession } from '../../core/refresh-tokens/refresh-tokens.ts'
import { hasSecondFactor } from '../../core/second-factor/has-second-factor.ts'
import { type Authenticate, bearerOf } from '../../http/authenticate.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { originOf } from '../../http/request-origin.ts'
import {
  canonicalEmail,
  Email,
  NoContent,
  Password,
  presentUser,
  strict,
  TokenResponse,
} from '../../http/schemas.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { Problem } from '../../platform/problem.ts'
import { refreshCookie } from './cookie.ts'
import { endSessions } from './end-sessions.ts'
import { listSessions } from './list-sessions.ts'
import { type LoginDeps, login } from './login.ts'
import { type RefreshDeps, refresh } from './refresh.ts'

export interface SessionsDeps extends LoginDeps, RefreshDeps {
  accessTokens: AccessTokens
  authenticate: Authenticate
  origins: TrustedOrigins
  rateLimits: RateLimits
  publicUrl: string
  cookieSameSite: 'lax' | 'strict' | 'none'
}

const RefreshBody = Type.Object({ refresh_token: Type.Optional(Type.String({ maxLength: 512 })) }, strict)
const RefreshHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: 'The same for every retry of one refresh' }),
  ),
})
const SessionView = Type.Object({
  id: Type.String(),
  current: Type.Boolean(),
  transport: Type.String(),
  user_agent: Type.Union([Type.String(), Type.Null()]),
  ip: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.String(),
  last_used_at: Type.String(),
  expires_at: Type.String(),
  ended_at: Type.Union([Type.String(), Type.Null()]),
  ended_reason: Type.Union([Type.String(), Type.Null()]),
})
const LoginBody = Type.Object(
  {
    email: Email,
    password: Password,
    transport: Type.Optional(Type.Union([Type.Literal('cookie'), Type.Literal('body')])),
  },
  strict,
)

/** Sign in, stay signed in, see and end sessions. */
export const sessions: FastifyPluginAsyncTypebox<SessionsDeps> = async (app, deps) => {
  const { accessTokens, authenticate, origins, rateLimits, refreshTokens, audit, clock, db } = deps
  const jar = refreshCookie(deps.publicUrl, deps.cookieSameSite)
  const limitLogin = rateLimits.limit('login', 30, 60)
  const limitRefusals = rateLimits.limit('refresh_refused', 30, 60)
  const limitLogout = rateLimits.limit('logout', 60, 60)
  const tags = ['sessions']
  const security = [{ bearer: [] }]
  await app.register(cookie)

  app.post(
    '/auth/login',
    {
      onRequest: limitLogin,
      schema: { tags, summary: 'Sign in', body: LoginBody, response: { 200: TokenResponse } },
    },
    async (request, reply) => {
      const { email, password, transport = 'cookie' } = request.body
      // Only our own pages and listed origins may plant, or replace, a session in a browser.
      const foreign = request.headers.origin !== undefined && !origins.has(request.headers.origin)
      if (transport === 'cookie' && foreign) throw new Problem('origin_not_allowed')
      const previous = foreign ? undefined : request.cookies[jar.name]
      const input = { email: canonicalEmail(email), password, transport, previous }
      const { issued, user } = await login(deps, input, originOf(request))
      return {
        ...respond(reply, issued, transport),
        user: presentUser(user, await hasSecondFactor(db, user.id)),
      }
    },
  )

  app.post(
    '/auth/refresh',
    {
      schema: {
        tags,
        summary: 'Turn the refresh token',
        headers: RefreshHeaders,
        body: RefreshBody,
        response: { 200: TokenResponse },
      },
    },
    async (request, reply) => {
      const { token, transport } = presented(request)
      const idempotencyKey = request.headers['idempotency-key']
      const origin = originOf(request)
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
      schema: { tags, summary: 'End this session', body: RefreshBody, response: { 204: NoContent } },
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
      schema: { tags, security, summary: 'End every session', response: { 204: NoContent } },
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
        querystring: Type.Object(
          { ended: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) },
          strict,
        ),
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
        params: Type.Object({
          id: Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' }),
        }),
        response: { 204: NoContent },
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
      schema: { tags, security, summary: 'End every other session', response: { 204: NoContent } },
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

  function respond(reply: FastifyReply, issued: IssuedSession, transport: 'cookie' | 'body'): TokenResponse {
    const { claims, idleExpiresAt, absoluteExpiresAt, refreshToken } = issued
    const expiresAt = Math.min(idleExpiresAt, absoluteExpiresAt)
    const { accessToken, expiresIn } = accessTokens.sign(claims, expiresAt)
    reply.header('cache-control', 'no-store')
    if (transport === 'cookie') reply.setCookie(jar.name, refreshToken, jar.options(expiresAt, clock.now()))
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: expiresIn,
      session: { id: claims.sid, expires_at: new Date(expiresAt).toISOString() },
      ...(transport === 'body' ? { refresh_token: refreshToken } : {}),
    }
  }

  const end = (
    request: FastifyRequest,
    scope: EndingScope,
    reason: EndedReason,
    type: 'logout' | 'session_end',
  ) => endSessions(deps, scope, reason, type, originOf(request))
}
