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

/** The claims of an access token that identify the principal (RFC 9068 §2.2). */
interface TokenClaims {
  sub: string
  client_id: string
  /** Without it the token allows nothing. */
  scope?: string
  /** A client's own token has no session. */
  sid?: string
  roles?: readonly string[]
  auth_time?: number
  amr?: readonly string[]
}

export function principalOf(claims: TokenClaims): UserPrincipal | DelegatedPrincipal | ClientPrincipal {
  const {
    sub: userId,
    sid: sessionId,
    client_id: clientId,
    roles = [],
    auth_time: authTime = 0,
    amr = [],
  } = claims
  const scope = claims.scope?.split(' ') ?? []
  if (sessionId === undefined) return { kind: 'client', clientId, scope }
  if (clientId !== FIRST_PARTY_CLIENT) return { kind: 'delegated', userId, sessionId, clientId, scope }
  return { kind: 'user', userId, sessionId, clientId, scope, roles, authTime, amr }
}
