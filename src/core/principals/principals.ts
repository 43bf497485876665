import { FIRST_PARTY_CLIENT } from '../clients/clients.ts'

/** Who makes a request. Times in seconds since the epoch. */
export type Principal = UserPrincipal | DelegatedPrincipal | ClientPrincipal | ApiKeyPrincipal

/** A user in a session. */
export interface UserPrincipal {
  kind: 'user'
  userId: string
  sessionId: string
  clientId: string
  scope: readonly string[]
  roles: readonly string[]
  /** When the user signed in. */
  authTime: number
  /** Authentication methods (RFC 8176). */
  amr: readonly string[]
}

/** A third-party client that acts for a user, within a session that the user granted. */
export interface DelegatedPrincipal {
  kind: 'delegated'
  userId: string
  sessionId: string
  clientId: string
  scope: readonly string[]
}

/** A client that acts for itself (RFC 6749 §4.4). It has no session; its tokens are revoked by their issue time. */
export interface ClientPrincipal {
  kind: 'client'
  clientId: string
  scope: readonly string[]
}

/** An API key, which belongs to a user or to a client. */
export interface ApiKeyPrincipal {
  kind: 'api_key'
  keyId: string
  owner: { userId: string } | { clientId: string }
  scope: readonly string[]
}

/**
 * Who an access token identifies (RFC 9068 §2.2); null when a claim has the wrong type. Without a scope a token allows
 * nothing, and a client's own token has no session.
 */
export function principalOf(
  claims: Readonly<Record<string, unknown>>,
): UserPrincipal | DelegatedPrincipal | ClientPrincipal | null {
  const { sub, sid, client_id: clientId, scope: scopes = '', roles = [], auth_time = 0, amr = [] } = claims
  if (!isName(sub) || !isName(clientId) || typeof scopes !== 'string') return null
  const scope = scopes.split(' ').filter(Boolean)
  if (sid === undefined) return { kind: 'client', clientId, scope }
  if (!isName(sid) || !isTexts(roles) || !isTexts(amr) || typeof auth_time !== 'number') return null
  const session = { userId: sub, sessionId: sid, clientId, scope }
  if (clientId !== FIRST_PARTY_CLIENT) return { kind: 'delegated', ...session }
  return { kind: 'user', ...session, roles, authTime: auth_time, amr }
}

const isName = (value: unknown): value is string => typeof value === 'string' && value !== ''

export const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
