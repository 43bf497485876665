import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { FIRST_PARTY_CLIENT, type OwnPermission } from '../core/clients/clients.ts'
import { Problem } from '../core/problems/problems.ts'
import type { IssuedSession } from '../core/sessions/sessions.ts'
import type { Uses } from '../core/uses.ts'
import type { TokenResponse } from './schemas.ts'
import type { SessionCookies } from './session-cookies.ts'

/** The member of a request that names what the access token is for. */
export const ResourceOfToken = Type.Optional(
  Type.String({
    maxLength: 500,
    description:
      'An API of yours that the access token is for (RFC 8707), if it is open to your app; without it, this server',
    examples: ['https://api.example.com'],
  }),
)

/** The responses with the tokens of a user's own session. */
export interface TokenResponses {
  /**
   * What the access token is for: the resource that a request names (RFC 8707), or without one this server's own API. Ask
   * before anything is used up. @throws `invalid_target`.
   */
  targetOf(resource: string | undefined): OwnPermission | undefined
  /** Builds the response: the refresh token in its cookie, or in the body. */
  respond(
    reply: FastifyReply,
    issued: IssuedSession,
    transport: 'cookie' | 'body',
    target: OwnPermission | undefined,
  ): TokenResponse
}

const OWN_APP = { id: FIRST_PARTY_CLIENT }

export function createTokenResponses(
  { accessTokens, clientTokens, clients, clock }: Uses<'accessTokens' | 'clientTokens' | 'clients' | 'clock'>,
  cookies: SessionCookies,
): TokenResponses {
  function sign(issued: IssuedSession, expiresAt: number, target: OwnPermission | undefined) {
    if (!target) return accessTokens.sign(issued.claims, expiresAt)
    const token = { client: OWN_APP, ...target, thumbprint: null, session: issued }
    return { ...clientTokens.sign(token), scope: target.scopes.join(' ') }
  }

  return {
    targetOf(resource) {
      if (resource === undefined) return undefined
      const target = clients.ownApp.permissionAt(resource)
      if (!target) throw new Problem('invalid_target')
      return target
    },
    respond(reply, issued, transport, target) {
      const { claims, idleExpiresAt, absoluteExpiresAt, refreshToken } = issued
      reply.request.concerned = { userId: claims.sub, sessionId: claims.sid, clientId: claims.client_id }
      const expiresAt = Math.min(idleExpiresAt, absoluteExpiresAt)
      const { accessToken, expiresIn, ...rest } = sign(issued, expiresAt, target)
      if (transport === 'cookie') cookies.refresh.set(reply, refreshToken, expiresAt, clock.now())
      return {
        access_token: accessToken,
        token_type: 'Bearer',
        expires_in: expiresIn,
        ...rest,
        session: { id: claims.sid, expires_at: new Date(expiresAt).toISOString() },
        ...(transport === 'body' ? { refresh_token: refreshToken } : {}),
      }
    },
  }
}
