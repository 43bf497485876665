import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RequestContext } from '../../core/events/events.ts'
import type { Allowed } from '../../core/grants/grants.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { IssuedSession, RefreshToken, SessionClaims } from '../../core/sessions/sessions.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { contextOf } from '../../http/request-context.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'

/** The user's own live session in this browser. */
export interface OwnSession {
  token: RefreshToken
  claims: SessionClaims
}

// An older browser does not say.
const NAVIGATIONS: ReadonlySet<string | undefined> = new Set(['document', 'iframe', 'frame', undefined])

/**
 * The live session among the refresh tokens of a browser, that of the latest sign-in first. Uses none of them up. A page of
 * a stranger could load ours as an image: the cookie counts only when the browser opens the page.
 */
export async function findOwnSession(
  uses: Uses<'sessions'> & { cookies: SessionCookies },
  request: FastifyRequest,
): Promise<OwnSession | null> {
  return NAVIGATIONS.has(request.headers['sec-fetch-dest'] as string | undefined)
    ? findSessionOfCookies(uses, request)
    : null
}

/** The same for a call whose `Origin` has been checked. */
export async function findSessionOfCookies(
  { sessions, cookies }: Uses<'sessions'> & { cookies: SessionCookies },
  request: FastifyRequest,
): Promise<OwnSession | null> {
  const texts = cookies.refresh.valuesIn(request)
  for (const token of await sessions.newestFirst(sessions.readTokens(texts))) {
    const look = await sessions.look(token, contextOf(request))
    if (look.outcome === 'live') return { token, claims: look.claims }
  }
  return null
}

/**
 * Rotates the user's own session before it grants something: a copy of the browser's cookie cannot be used for grants
 * without being found out. Null if it is not live. @throws `unavailable`.
 */
export async function rotateToGrant(
  { sessions }: Uses<'sessions'>,
  { token }: OwnSession,
  context: RequestContext,
): Promise<IssuedSession | null> {
  const own = await sessions.rotate(token, undefined, context)
  if (own.outcome === 'superseded') throw new Problem('unavailable', { retryAfter: 1 })
  return 'refreshToken' in own ? own : null
}

/** Gives the browser the new token of its session. */
export function keepRotated(
  { cookies, clock }: Uses<'clock'> & { cookies: SessionCookies },
  reply: FastifyReply,
  { refreshToken, idleExpiresAt, absoluteExpiresAt }: IssuedSession,
): void {
  cookies.refresh.set(reply, refreshToken, Math.min(idleExpiresAt, absoluteExpiresAt), clock.now())
}

/** What a client asks for, as allowed in a session of the user. */
export function allowedIn(
  { claims, absoluteExpiresAt }: IssuedSession,
  { id, securityVersion }: User,
  asked: Pick<Allowed, 'clientId' | 'resource' | 'scope'>,
): Allowed {
  const isOffline = asked.scope.split(' ').includes('offline_access')
  return {
    clientId: asked.clientId,
    resource: asked.resource,
    scope: asked.scope,
    userId: id,
    securityVersion,
    parentId: claims.sid,
    authTime: claims.auth_time,
    amr: claims.amr,
    endsAt: isOffline ? null : absoluteExpiresAt,
  }
}
