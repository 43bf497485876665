import { type Client, describesItself } from '../../../core/clients/clients.ts'
import type { RequestContext } from '../../../core/events/events.ts'
import type { IdTokenSubject } from '../../../core/tokens/tokens.ts'
import type { Uses } from '../../../core/uses.ts'
import { UntrustedRequest } from '../authorize/request.ts'

export type EndSessionUses = Uses<'db' | 'sessions' | 'clients' | 'idTokens'>

/** What a client asks for that leads a user here to sign out (RP-Initiated Logout 1.0 §2). */
export interface EndRequest {
  client: Client | null
  /** Where the browser goes in the end; null if it stays here. */
  target: string | null
  /** Whom the hint names, if it is an authentic id_token, however old. */
  hint: IdTokenSubject | null
}

/** The user's own live sessions in a browser, that of the latest sign-in first. */
export interface OwnSessions {
  userId: string
  sessionIds: readonly string[]
  familyHashes: readonly string[]
}

const LONGEST_QUERY = 8_192

/** @throws {UntrustedRequest}; `unavailable`. */
export async function readEndRequest(
  { clients, idTokens }: Pick<EndSessionUses, 'clients' | 'idTokens'>,
  query: string,
): Promise<EndRequest> {
  if (query.length > LONGEST_QUERY) throw new UntrustedRequest('too_long')
  const parameters = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    if (value === '') continue
    if (parameters.has(name)) throw new UntrustedRequest('parameter_repeated')
    parameters.set(name, value)
  }
  const clientId = parameters.get('client_id')
  const redirectUri = parameters.get('post_logout_redirect_uri')
  const hint = await idTokens.identify(parameters.get('id_token_hint') ?? '')
  const id = clientId ?? hint?.clientId
  // One that nobody registered has nowhere to lead to, and its document is not read for this.
  const isUnregistered = id !== undefined && describesItself(id)
  const client = (id && !isUnregistered && (await clients.find(id))) || null
  if (hint && hint.clientId !== id) throw new UntrustedRequest('wrong_client', client?.name)
  if (!client && ((clientId && !isUnregistered) || redirectUri)) throw new UntrustedRequest('unknown_client')
  if (redirectUri && !client?.postLogoutRedirectUris.includes(redirectUri))
    throw new UntrustedRequest('wrong_post_logout_redirect_uri', client?.name)
  return { client, hint, target: redirectUri ? withState(redirectUri, parameters.get('state')) : null }
}

/** A look at each of the refresh tokens of a browser; null if none of them is of a live session. */
export async function findOwnSessions(
  { sessions }: Pick<EndSessionUses, 'sessions'>,
  texts: readonly string[],
  context: RequestContext,
): Promise<OwnSessions | null> {
  const live: { userId: string; sessionId: string; familyHash: string }[] = []
  for (const token of await sessions.newestFirst(sessions.readTokens(texts))) {
    const look = await sessions.look(token, context)
    if (look.outcome !== 'live') continue
    live.push({ userId: look.claims.sub, sessionId: look.claims.sid, familyHash: token.familyHash })
  }
  const [newest] = live
  if (!newest) return null
  return {
    userId: newest.userId,
    sessionIds: live.map(({ sessionId }) => sessionId),
    familyHashes: live.map(({ familyHash }) => familyHash),
  }
}

/**
 * Whether the hint proves that its client was allowed in a session of this browser: then the user has asked the client to
 * sign out, and no page of a stranger.
 */
export async function isProven(
  { sessions, db }: Pick<EndSessionUses, 'sessions' | 'db'>,
  hint: IdTokenSubject | null,
  own: OwnSessions,
): Promise<boolean> {
  const session = hint && (await sessions.find(db, hint.sessionId))
  if (!session?.parentId || session.clientId !== hint?.clientId) return false
  return session.userId === hint.userId && own.sessionIds.includes(session.parentId)
}

/** Ends them with what hangs on them. @throws `revocation_pending`, `unavailable`. */
export const endOwnSessions = (
  { sessions }: Pick<EndSessionUses, 'sessions'>,
  { familyHashes }: OwnSessions,
  context: RequestContext,
): Promise<void> => sessions.end({ familyHashes }, 'logout', 'logout', context)

function withState(redirectUri: string, state: string | undefined): string {
  if (state === undefined) return redirectUri
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${new URLSearchParams({ state })}`
}
