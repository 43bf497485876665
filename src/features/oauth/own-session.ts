import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Allowed } from '../../core/grants/grants.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { IssuedSession, SessionClaims } from '../../core/sessions/sessions.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { contextOf } from '../../http/request-context.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import { clientKey } from '../../platform/client-key.ts'

export type OwnSessionUses = Uses<'sessions' | 'clock'> & { cookies: SessionCookies }

/** The user's own live session in this browser. */
export interface OwnSession {
  claims: SessionClaims
  /**
   * Rotates it before it grants something: a copy of the browser's cookie cannot be used for grants without being found
   * out. The browser gets the new token with whatever the answer is, also with an error. Null if it is not live any more.
   * @throws `unavailable`.
   */
  rotate(): Promise<IssuedSession | null>
}

// An older browser does not say.
const NAVIGATIONS: ReadonlySet<string | undefined> = new Set(['document', 'iframe', 'frame', undefined])

/**
 * The live session among the refresh tokens of a browser, that of the latest sign-in first. Uses none of them up. A page of
 * a stranger could load ours as an image: the cookie counts only when the browser opens the page.
 * @param attempt names what is rotated for, as an `Idempotency-Key` does: a browser that loads a page again because the
 * answer was lost still has the former token.
 */
export async function findOwnSession(
  uses: OwnSessionUses,
  reply: FastifyReply,
  attempt?: string,
): Promise<OwnSession | null> {
  return NAVIGATIONS.has(reply.request.headers['sec-fetch-dest'] as string | undefined)
    ? findSessionOfCookies(uses, reply, attempt)
    : null
}

/** The same for a call whose `Origin` has been checked. */
export async function findSessionOfCookies(
  { sessions, cookies, clock }: OwnSessionUses,
  reply: FastifyReply,
  attempt?: string,
): Promise<OwnSession | null> {
  const context = contextOf(reply.request)
  const texts = cookies.refresh.valuesIn(reply.request)
  for (const token of await sessions.newestFirst(sessions.readTokens(texts))) {
    const look = await sessions.look(token, context, attempt)
    if (look.outcome !== 'live') continue
    const { claims } = look
    return {
      claims,
      async rotate() {
        const own = await sessions.rotate(token, attempt, context)
        if (own.outcome === 'superseded') throw new Problem('unavailable', { retryAfter: 1 })
        if (!('refreshToken' in own)) return null
        const { refreshToken, idleExpiresAt, absoluteExpiresAt } = own
        const expiresAt = Math.min(idleExpiresAt, absoluteExpiresAt)
        cookies.refresh.set(reply, refreshToken, expiresAt, clock.now())
        return own
      },
    }
  }
  return null
}

/**
 * One for each request of a client, from one place: who has a copy of the cookie could have used it for a request, and lead
 * the owner to the same.
 */
export const attemptOf = ({ ip, headers }: FastifyRequest, query: string): string =>
  JSON.stringify([clientKey(ip), headers['user-agent'] ?? '', query])

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
