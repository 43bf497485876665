import { randomUUID } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import type { Clock } from '../../platform/clock.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'
import type { Client, Resource } from '../clients/clients.ts'
import type { Sessions } from '../sessions/sessions.ts'
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
  /** The key that the client has to prove with each use (RFC 9449 §6.1). */
  cnf?: { jkt: string } | undefined
}

/** Access tokens that third-party clients get. Their audience is a registered resource, never this server's own API. */
export interface ClientTokens {
  /** Signs a token that a client gets for itself (RFC 6749 §4.4); bound to the key with this thumbprint, if there is one. */
  sign(
    client: Client,
    resource: Resource,
    scopes: readonly string[],
    thumbprint?: string | null,
  ): { accessToken: string; expiresIn: number }
  /**
   * The claims of a token that is valid at one of these audiences; null for any other token.
   * @throws `unavailable` while revocations cannot be read.
   */
  inspect(token: string, audiences: readonly string[]): Promise<ClientTokenClaims | null>
}

const read = (payload: JWTPayload) => readClaims<ClientTokenClaims>(payload)?.claims

export interface ClientTokensDeps {
  keyRing: Pick<KeyRing, 'signer' | 'verifier' | 'findVerifier'>
  revocations: Sessions['revocations']
  clock: Clock
  issuer: string
}

const MAX_TOKEN_CHARS = 4_096
const TYPES = ['at+jwt', 'JWT']

export function createClientTokens({ keyRing, revocations, clock, issuer }: ClientTokensDeps): ClientTokens {
  return {
    sign(client, { identifier, tokenTtl, typ, alg }, scopes, thumbprint) {
      const iat = Math.floor(clock.now() / 1000)
      const claims: ClientTokenClaims = {
        iss: issuer,
        sub: client.id,
        aud: identifier,
        exp: iat + tokenTtl,
        iat,
        jti: randomUUID(),
        client_id: client.id,
        scope: scopes.join(' '),
        cnf: thumbprint ? { jkt: thumbprint } : undefined,
      }
      return { accessToken: serialize(claims, keyRing.signer(alg), typ), expiresIn: tokenTtl }
    },
    async inspect(token, audiences) {
      if (token.length > MAX_TOKEN_CHARS || audiences.length === 0) return null
      if (!revocations.isFresh) await revocations.catchUp()
      try {
        const { payload, protectedHeader } = await jwtVerify(token, verificationKey(keyRing), {
          algorithms: [...SIGNING_ALGORITHMS],
          issuer,
          audience: [...audiences],
          requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
          currentDate: new Date(clock.now()),
        })
        const claims = TYPES.includes(protectedHeader.typ ?? '') ? read(payload) : undefined
        return claims && !revocations.has(claims) ? claims : null
      } catch (error) {
        if (error instanceof errors.JOSEError) return null
        throw error
      }
    },
  }
}
