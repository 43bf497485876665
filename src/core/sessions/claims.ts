import { isTexts } from '../principals/principals.ts'

/** The claims of a session in each of its access tokens (RFC 9068 §2.2). */
export interface SessionClaims {
  sub: string
  sid: string
  client_id: string
  scope: string
  roles: readonly string[]
  /** Seconds since the epoch. */
  auth_time: number
  amr: readonly string[]
  /** The resource (RFC 8707) of a third-party client's session, '' for OpenID Connect alone; absent in a person's own. */
  resource?: string
}

/** Parses claims from a store. @throws {TypeError} when they are malformed: only intact claims may be signed. */
export function parseClaims(json: string): SessionClaims {
  const claims: Partial<Record<keyof SessionClaims, unknown>> = JSON.parse(json)
  const { sub, sid, client_id, scope, roles, auth_time, amr, resource = '' } = claims
  const texts = [sub, sid, client_id, scope, resource].every((value) => typeof value === 'string')
  if (!texts || typeof auth_time !== 'number' || !isTexts(roles) || !isTexts(amr)) {
    throw new TypeError('a store holds malformed claims')
  }
  return claims as SessionClaims
}
