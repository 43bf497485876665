import { hash, randomUUID, sign as signBytes } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../platform/clock.ts'
import { type Principal, principalOf } from '../principals/principals.ts'
import { Problem } from '../problems/problems.ts'
import type { SessionClaims, Sessions } from '../sessions/sessions.ts'
import type { KeyRing, SigningKey } from './key-ring.ts'

/** The claims of an access token (RFC 9068 §2.2). `exp`, `iat`, `auth_time` in seconds. */
export interface AccessTokenClaims extends Omit<SessionClaims, 'sid'> {
  iss: string
  aud: string
  exp: number
  iat: number
  jti: string
  /** The session; absent in a token that a client got for itself. */
  sid?: string
}

export interface AccessTokens {
  /** Signs a token that lives `ttl` seconds, but never past `sessionExpiresAt` (ms). */
  sign(subject: SessionClaims, sessionExpiresAt: number): { accessToken: string; expiresIn: number }
  /**
   * The principal of a token that is valid and not revoked.
   * @throws `access_token_invalid`; `unavailable` while revocations cannot be read.
   */
  verify(token: string): Promise<Principal> | Principal
}

export interface AccessTokensDeps {
  keyRing: Pick<KeyRing, 'signer' | 'verifier'>
  revocations: Sessions['revocations']
  clock: Clock
  issuer: string
  audience: string
  /** Seconds. */
  ttl: number
}

/** A token whose signature was verified, as it is cached. */
interface Verified {
  claims: AccessTokenClaims
  kid: string
  principal: Principal
}

const TOLERANCE_SECONDS = 30
const CACHED_TOKENS = 20_000
const MAX_TOKEN_CHARS = 4_096

export function createAccessTokens(deps: AccessTokensDeps): AccessTokens {
  const { keyRing, revocations, clock, issuer, audience, ttl } = deps
  // Keyed by hash, so that memory holds no bearer tokens; bounded, so that many tokens cannot fill it.
  const cache = new LRUCache<string, Verified>({ max: CACHED_TOKENS })

  function check({ claims, principal }: Verified): Principal {
    if (claims.exp + TOLERANCE_SECONDS <= clock.now() / 1000) throw new Problem('access_token_invalid')
    if (revocations.has(claims)) {
      const detail = claims.sid === undefined ? 'The token has been revoked.' : 'The session has ended.'
      throw new Problem('access_token_invalid', { detail })
    }
    return principal
  }

  async function verifySignature(token: string, id: string): Promise<Principal> {
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
        requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
        clockTolerance: TOLERANCE_SECONDS,
        currentDate: new Date(clock.now()),
      },
    ).catch((cause) => {
      throw new Problem('access_token_invalid', {}, { cause })
    })
    const claims = payload as JWTPayload & AccessTokenClaims
    const principal = principalOf(payload)
    if (!principal) throw new Problem('access_token_invalid')
    const verified = { claims, kid: protectedHeader.kid as string, principal }
    cache.set(id, verified)
    return check(verified)
  }

  function verifyNow(token: string): Promise<Principal> | Principal {
    const id = hash('sha256', token, 'base64')
    const known = cache.get(id)
    if (!known) return verifySignature(token, id)
    if (!keyRing.verifier(known.kid)) throw new Problem('access_token_invalid')
    return check(known)
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
    verify(token) {
      if (token.length > MAX_TOKEN_CHARS) throw new Problem('access_token_invalid')
      return revocations.isFresh ? verifyNow(token) : revocations.catchUp().then(() => verifyNow(token))
    },
  }
}

const headers = new WeakMap<SigningKey, string>()

// Compact serialisation (RFC 7515 §7.1). jose would sign on another thread, which costs more than the signature.
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
