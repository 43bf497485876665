import { hash, randomUUID, sign as signBytes } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../platform/clock.ts'
import { Problem } from '../problems/problems.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { RevokedSessions } from '../sessions/revoked-sessions.ts'
import type { KeyRing, SigningKey } from './key-ring.ts'

/** The claims of an access token (RFC 9068 §2.2). `exp`, `iat`, `auth_time` in seconds. */
export interface AccessTokenClaims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  jti: string
  client_id: string
  scope: string
  roles: readonly string[]
  sid: string
  auth_time: number
  amr: readonly string[]
}

type Subject = Pick<AccessTokenClaims, 'sub' | 'sid' | 'client_id' | 'scope' | 'roles' | 'auth_time' | 'amr'>

export interface AccessTokens {
  /** Signs a token that lives `ttl` seconds, but never past `sessionExpiresAt` (ms). */
  sign(subject: Subject, sessionExpiresAt: number): { accessToken: string; expiresIn: number }
  /**
   * The claims of a valid token of a live session.
   * @throws `access_token_invalid`; `unavailable` while nobody can say which sessions have ended.
   */
  verify(token: string): Promise<AccessTokenClaims> | AccessTokenClaims
}

export interface AccessTokensDeps {
  keyRing: KeyRing
  revoked: Pick<RevokedSessions, 'has'>
  feed: Pick<RevocationFeed, 'fresh' | 'catchUp'>
  clock: Clock
  issuer: string
  audience: string
  /** Seconds. */
  ttl: number
}

const TOLERANCE_SECONDS = 30
const CACHED_TOKENS = 20_000
const MAX_TOKEN_CHARS = 4_096

export function createAccessTokens(deps: AccessTokensDeps): AccessTokens {
  const { keyRing, revoked, feed, clock, issuer, audience, ttl } = deps
  // Keyed by hash, so that memory holds no bearer tokens; bounded, so that a flood cannot fill it.
  const verified = new LRUCache<string, AccessTokenClaims & { kid: string }>({ max: CACHED_TOKENS })

  function check(claims: AccessTokenClaims): AccessTokenClaims {
    if (claims.exp + TOLERANCE_SECONDS <= clock.now() / 1000) throw new Problem('access_token_invalid')
    if (revoked.has(claims.sid))
      throw new Problem('access_token_invalid', { detail: 'The session has ended.' })
    return claims
  }

  async function verifyCold(token: string, id: string): Promise<AccessTokenClaims> {
    const { payload, protectedHeader } = await jwtVerify(
      token,
      (header) => {
        const known = header.kid ? keyRing.verifier(header.kid) : undefined
        if (!known || known.alg !== header.alg) throw new errors.JWKSNoMatchingKey()
        return known.key
      },
      {
        algorithms: ['ES256', 'EdDSA', 'RS256'],
        typ: 'at+jwt',
        issuer,
        audience,
        requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id', 'sid'],
        clockTolerance: TOLERANCE_SECONDS,
        currentDate: new Date(clock.now()),
      },
    ).catch((cause) => {
      throw new Problem('access_token_invalid', {}, { cause })
    })
    const claims = payload as JWTPayload & AccessTokenClaims
    verified.set(id, { ...claims, kid: protectedHeader.kid as string })
    return check(claims)
  }

  return {
    sign(subject, sessionExpiresAt) {
      const iat = Math.floor(clock.now() / 1000)
      const exp = Math.min(iat + ttl, Math.floor(sessionExpiresAt / 1000))
      const { sub, sid, client_id, scope, roles, auth_time, amr } = subject
      const claims: AccessTokenClaims = {
        iss: issuer,
        sub,
        aud: audience,
        exp,
        iat,
        jti: randomUUID(),
        client_id,
        scope,
        roles,
        sid,
        auth_time,
        amr,
      }
      return { accessToken: serialize(claims, keyRing.signer()), expiresIn: exp - iat }
    },

    verify,
  }

  function verify(token: string): Promise<AccessTokenClaims> | AccessTokenClaims {
    if (token.length > MAX_TOKEN_CHARS) throw new Problem('access_token_invalid')
    return feed.fresh ? verifyNow(token) : feed.catchUp().then(() => verifyNow(token))
  }

  function verifyNow(token: string): Promise<AccessTokenClaims> | AccessTokenClaims {
    const id = hash('sha256', token, 'base64')
    const known = verified.get(id)
    if (!known) return verifyCold(token, id)
    if (!keyRing.verifier(known.kid)) throw new Problem('access_token_invalid')
    return check(known)
  }
}

const headers = new WeakMap<SigningKey, string>()

// Compact serialisation (RFC 7515 §7.1) without jose's thread hop, which costs more than the signature.
function serialize(claims: AccessTokenClaims, key: SigningKey): string {
  let header = headers.get(key)
  if (!header) {
    header = Buffer.from(JSON.stringify({ alg: key.alg, typ: 'at+jwt', kid: key.kid })).toString('base64url')
    headers.set(key, header)
  }
  const input = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const digest = key.alg === 'EdDSA' ? null : 'sha256'
  const signature = signBytes(digest, Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}
