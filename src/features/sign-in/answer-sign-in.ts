import type { FastifyReply, FastifyRequest } from 'fastify'
import type { OwnPermission } from '../../core/clients/clients.ts'
import type { DeviceToken, SignedIn } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'
import type { DeviceTokens } from '../../http/device-tokens.ts'
import { contextOf } from '../../http/request-context.ts'
import { presentUser, type TokenResponse } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { TokenResponses } from '../../http/token-response.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'

export type AnswerSignInUses = Uses<'sessions'> & {
  origins: TrustedOrigins
  deviceTokens: DeviceTokens
  cookies: SessionCookies
  tokens: TokenResponses
}

/** What every sign-in does to the browser that it came from. */
export interface AnswerSignIn {
  /**
   * Only pages of this server and of the allowed origins may set or replace a session in a browser.
   * @throws `origin_not_allowed`.
   */
  requireOwnPage(request: FastifyRequest, transport: 'cookie' | 'body'): void
  /** Ends the sessions that the browser had, and gives it the new one; the access token is for `target`. */
  finish(
    request: FastifyRequest,
    reply: FastifyReply,
    signedIn: SignedIn,
    device: DeviceToken,
    target: OwnPermission | undefined,
  ): Promise<TokenResponse>
}

export function createAnswerSignIn(uses: AnswerSignInUses): AnswerSignIn {
  const { sessions, origins, cookies, deviceTokens, tokens } = uses
  return {
    requireOwnPage(request, transport) {
      if (transport === 'cookie') origins.refuseForeign(request)
    },
    async finish(request, reply, { issued, user, transport, mfaEnabled }, device, target) {
      // A sign-in always starts a new family.
      const previous = sessions.readTokens(origins.cookiesOf(request, cookies.refresh))
      await sessions.endReplaced(previous, contextOf(request))
      return {
        ...tokens.respond(reply, issued, transport, target),
        ...deviceTokens.give(reply, device, transport),
        user: presentUser(user, mfaEnabled),
      }
    },
  }
}
