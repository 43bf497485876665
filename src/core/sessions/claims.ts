/** What a session says of itself in every access token (RFC 9068 §2.2). */
export interface SessionClaims {
  sub: string
  sid: string
  client_id: string
  scope: string
  roles: readonly string[]
  /** Seconds since the epoch. */
  auth_time: number
  amr: readonly string[]
}

/** Claims that a store kept as JSON. @throws {TypeError} for anything else: what is signed must be what was written. */
export function parseClaims(json: string): SessionClaims {
  const claims: Partial<Record<keyof SessionClaims, unknown>> = JSON.parse(json)
  const { sub, sid, client_id, scope, roles, auth_time, amr } = claims
  const texts = [sub, sid, client_id, scope].every((value) => typeof value === 'string')
  if (!texts || typeof auth_time !== 'number' || !areTexts(roles) || !areTexts(amr)) {
    throw new TypeError('a store holds claims that are none')
  }
  return claims as SessionClaims
}

const areTexts = (list: unknown): boolean =>
  Array.isArray(list) && list.every((value) => typeof value === 'string')
