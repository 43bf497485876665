import { randomUUID } from 'node:crypto'
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import type { Clock } from '../../platform/clock.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'
import type { Client, Resource } from '../clients/clients.ts'
import type { IssuedSession, Sessions } from '../sessions/sessions.ts'
import type { KeyRing } from './key-ring.ts'
import { readClaims } from './read-claims.ts'
import { serialize } from './serialize.ts'
import { verificationKey } from './verification-key.ts'

/** The claims of an access token for a resource (RFC 9068 §2.2). `exp` and `iat` in seconds. */
export interface ClientTokenClaims extends JWTPayload {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  jti: string
  client_id: string
  scope: string
  /** The session in which a user allowed it, with when and how the user signed in. */
  sid?: string | undefined
  auth_time?: number | undefined
  amr?: readonly string[] | undefined
  /** The key that the client has to prove with each use (RFC 9449 §6.1). */
  cnf?: { jkt: string } | undefined
}

export interface NewClientToken {
  client: Pick<Client, 'id'>
  resource: Resource
  scopes: readonly string[]
  /** Of the key that it is bound to (RFC 9449); null for a bearer token. */
  thumbprint: string | null
  /** The session in which a user allowed it; without one the client gets it for itself (RFC 6749 §4.4). */
  session?: Pick<IssuedSession, 'claims' | 'idleExpiresAt' | 'absoluteExpiresAt'>
}

/** Access tokens that third-party clients get. Their audience is a registered resource, never this server's own API. */
export interface ClientTokens {
  /** Signs a token; it never lives longer than the session that it belongs to. */
  sign(token: NewClientToken): { accessToken: string; expiresIn: number }
  /**
   * The claims of a token that is valid at one of these audiences, or without them at any; null for any other token.
   * @throws `unavailable` while revocations cannot be read.
   */
  inspect(token: string, audiences?: readonly string[]): Promise<ClientTokenClaims | null>
  /** The claims of an authentic token, for whatever resource, also if it is revoked or expired; null for any other. */
  identify(token: string): Promise<ClientTokenClaims | null>
}

export interface ClientTokensDeps {
  keyRing: Pick<KeyRing, 'signer' | 'verifier' | 'findVerifier'>
  revocations: Sessions['revocations']
  clock: Clock
  issuer: string
}

const MAX_TOKEN_CHARS = 4_096
const TYPES = ['at+jwt', 'JWT']

export function createClientTokens({ keyRing, revocations, clock, issuer }: ClientTokensDeps): ClientTokens {
  async function verify(token: string, options: JWTVerifyOptions): Promise<ClientTokenClaims | null> {
    if (token.length > MAX_TOKEN_CHARS) return null
    try {
      const { payload, protectedHeader } = await jwtVerify(token, verificationKey(keyRing), {
        ...options,
        algorithms: [...SIGNING_ALGORITHMS],
        issuer,
        requiredClaims: ['sub', 'aud', 'exp', 'iat', 'jti', 'client_id'],
      })
      return TYPES.includes(protectedHeader.typ ?? '')
        ? (readClaims<ClientTokenClaims>(payload)?.claims ?? null)
        : null
    } catch (error) {
      if (error instanceof errors.JOSEError) return null
      throw error
    }
  }

  return {
    sign({ client, resource: { identifier, tokenTtl, typ, alg }, scopes, thumbprint, session }) {
      const iat = Math.floor(clock.now() / 1000)
      const ends = session
        ? Math.min(session.idleExpiresAt, session.absoluteExpiresAt)
        : Number.POSITIVE_INFINITY
      const exp = Math.min(iat + tokenTtl, Math.floor(ends / 1000))
      const { sub = client.id, sid, auth_time, amr } = session?.claims ?? {}
      const claims: ClientTokenClaims = {
        iss: issuer,
        sub,
        aud: identifier,
        exp,
        iat,
        jti: randomUUID(),
        client_id: client.id,
        scope: scopes.join(' '),
        sid,
        auth_time,
        amr,
        cnf: thumbprint ? { jkt: thumbprint } : undefined,
      }
      return { accessToken: serialize(claims, keyRing.signer(alg), typ), expiresIn: exp - iat }
    },
    async inspect(token, audiences) {
      if (audiences?.length === 0) return null
      if (!revocations.isFresh) await revocations.catchUp()
      const claims = await verify(token, {
        ...(audiences ? { audience: [...audiences] } : {}),
        currentDate: new Date(clock.now()),
      })
      return claims && !revocations.has(claims) ? claims : null
    },
    // Every token is from after the first moment.
    identify: (token) => verify(token, { currentDate: new Date(0) }),
  }
}
