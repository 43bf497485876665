import { hash, randomUUID } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { ACCESS_TOKEN_TTL, CLOCK_TOLERANCE } from '../../platform/access-token-times.ts'
import { atMost } from '../../platform/at-most.ts'
import type { Clock } from '../../platform/clock.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'
import type { Principal } from '../principals/principals.ts'
import { Problem } from '../problems/problems.ts'
import type { SessionClaims, Sessions } from '../sessions/sessions.ts'
import type { KeyRing } from './key-ring.ts'
import { readClaims } from './read-claims.ts'
import { serialize } from './serialize.ts'
import { verificationKey } from './verification-key.ts'

/**
 * The claims of an access token (RFC 9068 §2.2). `exp`, `iat`, `auth_time` in seconds. Empty lists and scopes are left
 * out, because some verifiers refuse them.
 */
export interface AccessTokenClaims {
  iss: string
  aud: string
  exp: number
  iat: number
  jti: string
  sub: string
  client_id: string
  scope?: string | undefined
  roles?: readonly string[] | undefined
  /** The session; absent in a token that a client got for itself. */
  sid?: string | undefined
  auth_time?: number
  amr?: readonly string[] | undefined
}

export interface AccessTokens {
  /** Signs a token that lives `ttl` seconds, but never past `sessionExpiresAt` (ms). */
  sign(subject: SessionClaims, sessionExpiresAt: number): { accessToken: string; expiresIn: number }
  /**
   * The principal of a token that is valid and not revoked.
   * @throws `access_token_invalid`, `access_token_expired`; `session_ended` with its reason, for an expired token too;
   * `unavailable` while revocations cannot be read.
   */
  verify(token: string): Promise<Principal> | Principal
  /**
   * The principal of an authentic token of this server, also if it is revoked or expired a day ago at most: enough to end
   * its session. @throws `access_token_invalid`.
   */
  identify(token: string): Promise<Principal>
}

export interface AccessTokensDeps {
  keyRing: Pick<KeyRing, 'signer' | 'verifier' | 'findVerifier'>
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

const DAY_SECONDS = 86_400
const CACHED_TOKENS = 20_000
const MAX_TOKEN_CHARS = 4_096

export function createAccessTokens(deps: AccessTokensDeps): AccessTokens {
  const { keyRing, revocations, clock, issuer, audience, ttl } = deps
  // Keyed by hash, so that memory holds no bearer tokens; bounded, so that many tokens cannot fill it.
  const cache = new LRUCache<string, Verified>(atMost(CACHED_TOKENS))

  function check({ claims, principal }: Verified): Promise<Principal> | Principal {
    if (!isPlausible(claims)) throw new Problem('access_token_invalid')
    return isOver(claims) || revocations.has(claims) ? refuse(claims) : principal
  }

  /** Says why a genuine token is refused: only if its session lives can a refresh help. */
  async function refuse(claims: AccessTokenClaims): Promise<never> {
    const { sid } = claims
    const isRevoked = revocations.has(claims)
    if (sid !== undefined) {
      const reason = (await revocations.endedReason(sid)) ?? (isRevoked ? 'unknown' : null)
      if (reason) throw new Problem('session_ended', { reason })
    } else if (isRevoked) {
      throw new Problem('access_token_invalid', { detail: 'The token has been revoked.' })
    }
    throw new Problem('access_token_expired')
  }

  /** Whether a node with these clocks and settings can have made it: ends of sessions are remembered for so long. */
  const isPlausible = ({ iat, exp }: AccessTokenClaims) =>
    iat <= clock.now() / 1000 + CLOCK_TOLERANCE && exp - iat <= ACCESS_TOKEN_TTL.most
  const isOver = ({ exp }: AccessTokenClaims, graceSeconds = 0) =>
    exp + CLOCK_TOLERANCE + graceSeconds <= clock.now() / 1000

  /** Checks everything but the times and the revocations. */
  async function verifySignature(token: string, graceSeconds = 0): Promise<Verified> {
    const { payload, protectedHeader } = await jwtVerify(
      token,
      verificationKey(keyRing, graceSeconds * 1000),
      {
        algorithms: [...SIGNING_ALGORITHMS],
        typ: 'at+jwt',
        issuer,
        audience,
        requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
        clockTolerance: CLOCK_TOLERANCE + graceSeconds,
        currentDate: new Date(clock.now()),
      },
    ).catch((cause) => {
      // Its signature and every other claim have been verified before its expiry.
      const expired = graceSeconds === 0 && cause instanceof errors.JWTExpired ? read(cause.payload) : null
      if (expired && isPlausible(expired.claims)) return refuse(expired.claims)
      throw new Problem('access_token_invalid', {}, { cause })
    })
    const verified = read(payload)
    if (!verified) throw new Problem('access_token_invalid')
    return { ...verified, kid: protectedHeader.kid as string }
  }

  async function verifyFirst(token: string, id: string): Promise<Principal> {
    const verified = await verifySignature(token)
    cache.set(id, verified)
    return check(verified)
  }

  function verifyNow(token: string): Promise<Principal> | Principal {
    const id = hash('sha256', token, 'base64')
    const known = cache.get(id)
    if (!known) return verifyFirst(token, id)
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
        scope: nonEmpty(scope),
        roles: nonEmpty(roles),
        sid,
        auth_time,
        amr: nonEmpty(amr),
      }
      return { accessToken: serialize(claims, keyRing.signer(), 'at+jwt'), expiresIn: exp - iat }
    },
    async identify(token) {
      if (token.length > MAX_TOKEN_CHARS) throw new Problem('access_token_invalid')
      const { claims, principal } = await verifySignature(token, DAY_SECONDS)
      if (!isPlausible(claims) || isOver(claims, DAY_SECONDS)) throw new Problem('access_token_invalid')
      return principal
    },
    verify(token) {
      if (token.length > MAX_TOKEN_CHARS) throw new Problem('access_token_invalid')
      return revocations.isFresh ? verifyNow(token) : revocations.catchUp().then(() => verifyNow(token))
    },
  }
}

// Without the proof of its key, a token that is bound to one proves nothing (RFC 9449 §7.1).
const read = (payload: JWTPayload) =>
  payload.cnf === undefined ? readClaims<AccessTokenClaims>(payload) : null

const nonEmpty = <Value extends string | readonly string[]>(value: Value) =>
  value.length > 0 ? value : undefined
