import type { RequestContext } from '../../core/events/events.ts'
import { isProblem } from '../../core/problems/problems.ts'
import type { RevocationScope } from '../../core/sessions/sessions.ts'
import type { Uses } from '../../core/uses.ts'

export interface Presented {
  /** Several cookies of one name, or the one of a body: they are readable if one of them is. */
  refreshTokens: readonly string[]
  /** Undefined without an `Authorization`; empty if that holds no bearer token. */
  accessToken: string | undefined
  /** Of a refresh whose response was lost. */
  idempotencyKey: string | undefined
}

/**
 * Ends the sessions that the tokens of a request name; an access token may have expired a day ago at most. `unreadable`
 * is the problem of a token that names none: its session may live on, but those of the others have ended.
 * @throws `revocation_pending`, `unavailable`.
 */
export async function logout(
  { sessions, accessTokens }: Uses<'sessions' | 'accessTokens'>,
  { refreshTokens, accessToken, idempotencyKey }: Presented,
  context: RequestContext,
) {
  const tokens = sessions.readTokens(refreshTokens)
  const session = accessToken ? await sessionOf(accessTokens, accessToken) : null
  const familyHashes: string[] = []
  // A session that ends by a reuse must not be recorded as signed out. A client ends its own at `/oauth/revoke`.
  for (const token of tokens)
    if ((await sessions.look(token, context, idempotencyKey)).outcome !== 'foreign')
      familyHashes.push(token.familyHash)
  const named = [...(familyHashes.length > 0 ? [{ familyHashes }] : []), ...(session ? [session] : [])]
  for (const scope of named) await sessions.end(scope, 'logout', 'logout', context)
  const unreadable =
    refreshTokens.length > 0 && familyHashes.length === 0
      ? ('refresh_token_invalid' as const)
      : accessToken !== undefined && !session
        ? ('access_token_invalid' as const)
        : null
  return { ended: named.length, unreadable }
}

/** The user's own session of an access token; null if the token is not authentic, too old, or a client's. */
async function sessionOf(
  accessTokens: Uses<'accessTokens'>['accessTokens'],
  token: string,
): Promise<RevocationScope | null> {
  try {
    const principal = await accessTokens.identify(token)
    if (principal.kind !== 'user') return null
    return { sessionId: principal.sessionId, userId: principal.userId }
  } catch (error) {
    if (isProblem(error, 'access_token_invalid')) return null
    throw error
  }
}
