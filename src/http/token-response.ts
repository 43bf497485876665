import type { FastifyReply } from 'fastify'
import type { IssuedSession } from '../core/sessions/sessions.ts'
import type { AccessTokens } from '../core/tokens/tokens.ts'
import type { Clock } from '../platform/clock.ts'
import type { TokenResponse } from './schemas.ts'
import type { SessionCookies } from './session-cookies.ts'

/** Builds the response with a session's tokens: the refresh token in its cookie, or in the body. */
export type RespondWithTokens = (
  reply: FastifyReply,
  issued: IssuedSession,
  transport: 'cookie' | 'body',
) => TokenResponse

export function createTokenResponse(
  accessTokens: AccessTokens,
  cookies: SessionCookies,
  clock: Clock,
): RespondWithTokens {
  return (reply, { claims, idleExpiresAt, absoluteExpiresAt, refreshToken }, transport) => {
    reply.request.concerned = { userId: claims.sub, sessionId: claims.sid, clientId: claims.client_id }
    const expiresAt = Math.min(idleExpiresAt, absoluteExpiresAt)
    const { accessToken, expiresIn } = accessTokens.sign(claims, expiresAt)
    if (transport === 'cookie') cookies.refresh.set(reply, refreshToken, expiresAt, clock.now())
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: expiresIn,
      session: { id: claims.sid, expires_at: new Date(expiresAt).toISOString() },
      ...(transport === 'body' ? { refresh_token: refreshToken } : {}),
    }
  }
}
