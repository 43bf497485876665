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
 * Who an access token identifies (RFC 9068 §2.2); null when a claim does not have the form in which this server writes
 * it. Without a scope a token allows nothing, and a client's own token has no session.
 */
export function principalOf(
  claims: Readonly<Record<string, unknown>>,
): UserPrincipal | DelegatedPrincipal | ClientPrincipal | null {
  const { sub, sid, client_id: clientId, scope: scopes = '', roles = [], auth_time = 0, amr = [] } = claims
  if (!isVisibleText(clientId) || !isScope(scopes)) return null
  const scope = scopes.split(' ').filter(Boolean)
  if (sid === undefined) return sub === clientId ? { kind: 'client', clientId, scope } : null
  if (!isUuid(sub) || !isUuid(sid)) return null
  if (!isTexts(roles) || !isTexts(amr) || !isEpochSeconds(auth_time)) return null
  const session = { userId: sub, sessionId: sid, clientId, scope }
  if (clientId !== FIRST_PARTY_CLIENT) return { kind: 'delegated', ...session }
  return { kind: 'user', ...session, roles, authTime: auth_time, amr }
}

const matches =
  (pattern: RegExp) =>
  (value: unknown): value is string =>
    typeof value === 'string' && pattern.test(value)

// In the one spelling that is compared with: revocations are found by it.
const isUuid = matches(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
/** RFC 6749 §3.3, or empty. */
const isScope = matches(/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/)
/** A `client_id` (RFC 6749 §A.1) or a `jti`. */
export const isVisibleText = matches(/^[\x20-\x7e]+$/)

/** The key that a token is bound to, by the SHA-256 of it (RFC 9449 §6.1); undefined for a token without one. */
export const isBinding = (cnf: unknown): cnf is { jkt: string } | undefined =>
  cnf === undefined || isThumbprint((cnf as { jkt?: unknown } | null)?.jkt)
const isThumbprint = matches(/^[\w-]{43}$/)

export const isEpochSeconds = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0

export const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
