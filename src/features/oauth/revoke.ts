import type { Client } from '../../core/clients/clients.ts'
import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import type { Parameters } from './form.ts'

/**
 * Ends the session of a token of the client's (RFC 7009 §2.1): of a refresh token, or of an access token. A token that
 * is none, or another client's, is answered like one that has ended. A client's token for itself
 * cannot be ended. @throws `invalid_request`, `unsupported_token_type`, `revocation_pending`, `unavailable`.
 */
export async function revoke(
  { sessions, clientTokens, db }: Uses<'sessions' | 'clientTokens' | 'db'>,
  client: Client,
  { token }: Parameters,
  context: RequestContext,
): Promise<void> {
  if (token === undefined) throw new Problem('invalid_request', { detail: 'token is missing.' })
  const refreshToken = sessions.parse(token)
  if (refreshToken) {
    if (!(await sessions.isOfClient(db, refreshToken, client.id))) return
    const familyHashes = [refreshToken.familyHash]
    return sessions.end({ familyHashes }, 'token_revoked', 'session_end', context)
  }
  const claims = await clientTokens.identify(token)
  if (claims?.client_id !== client.id) return
  if (claims.sid === undefined) throw new Problem('unsupported_token_type')
  await sessions.end({ sessionId: claims.sid, userId: claims.sub }, 'token_revoked', 'session_end', context)
}
