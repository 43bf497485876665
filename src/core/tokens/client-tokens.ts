import { hash, randomUUID } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { atMost } from '../../platform/at-most.ts'
import type { Clock } from '../../platform/clock.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'
import { type Client, FIRST_PARTY_CLIENT, type Resource } from '../clients/clients.ts'
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
  /** Of the user, in a token of the operator's own app. */
  roles?: readonly string[] | undefined
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

/** Access tokens for registered resources: of third-party clients, and of the operator's own app. */
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

/** A token whose signature was verified, as it is cached. */
interface Verified {
  claims: ClientTokenClaims
  kid: string
}

const CACHED_TOKENS = 10_000
const MAX_TOKEN_CHARS = 4_096
const TYPES = ['at+jwt', 'JWT']

export function createClientTokens({ keyRing, revocations, clock, issuer }: ClientTokensDeps): ClientTokens {
  // Keyed by hash, so that memory holds no bearer tokens; bounded, so that many tokens cannot fill it.
  const cache = new LRUCache<string, Verified>(atMost(CACHED_TOKENS))

  /** Checks everything but the audience, the time and the revocations. */
  async function verify(token: string): Promise<Verified | null> {
    if (token.length > MAX_TOKEN_CHARS) return null
    try {
      const { payload, protectedHeader } = await jwtVerify(token, verificationKey(keyRing), {
        algorithms: [...SIGNING_ALGORITHMS],
        issuer,
        requiredClaims: ['sub', 'aud', 'exp', 'iat', 'jti', 'client_id'],
        // Every token is from after the first moment.
        currentDate: new Date(0),
      })
      const read = readClaims<ClientTokenClaims>(payload)
      if (!read || !TYPES.includes(protectedHeader.typ ?? '')) return null
      return { claims: read.claims, kid: protectedHeader.kid as string }
    } catch (error) {
      if (error instanceof errors.JOSEError) return null
      throw error
    }
  }

  /** The claims of a token that was verified before with a key that is still trusted, or is verified now. */
  async function verifyOnce(token: string): Promise<ClientTokenClaims | null> {
    const id = hash('sha256', token, 'base64')
    const known = cache.get(id)
    if (known && keyRing.verifier(known.kid)) return known.claims
    const verified = await verify(token)
    if (verified) cache.set(id, verified)
    return verified?.claims ?? null
  }

  return {
    sign({ client, resource: { identifier, tokenTtl, typ, alg }, scopes, thumbprint, session }) {
      const iat = Math.floor(clock.now() / 1000)
      const ends = session
        ? Math.min(session.idleExpiresAt, session.absoluteExpiresAt)
        : Number.POSITIVE_INFINITY
      const exp = Math.min(iat + tokenTtl, Math.floor(ends / 1000))
      const { sub = client.id, sid, auth_time, amr, roles = [] } = session?.claims ?? {}
      const isOwn = client.id === FIRST_PARTY_CLIENT
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
        // Some verifiers refuse an empty list.
        roles: isOwn && roles.length > 0 ? roles : undefined,
        cnf: thumbprint ? { jkt: thumbprint } : undefined,
      }
      return { accessToken: serialize(claims, keyRing.signer(alg), typ), expiresIn: exp - iat }
    },
    async inspect(token, audiences) {
      if (audiences?.length === 0) return null
      if (!revocations.isFresh) await revocations.catchUp()
      const claims = await verifyOnce(token)
      if (!claims || claims.exp * 1000 <= clock.now()) return null
      const isMeant = audiences === undefined || audiences.includes(claims.aud)
      return isMeant && !revocations.has(claims) ? claims : null
    },
    identify: async (token) => (await verify(token))?.claims ?? null,
  }
}
