import { createHash } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import type { Clock } from '../../platform/clock.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'
import type { Client } from '../clients/clients.ts'
import { isVisibleText } from '../principals/principals.ts'
import type { SessionClaims } from '../sessions/sessions.ts'
import type { KeyRing } from './key-ring.ts'
import { serialize } from './serialize.ts'
import { verificationKey } from './verification-key.ts'

export interface NewIdToken {
  client: Pick<Client, 'id' | 'idTokenAlg'>
  /** The client's session, not the user's own. */
  session: Pick<SessionClaims, 'sub' | 'sid' | 'auth_time' | 'amr'>
  acr: string
  /** That of the authorization request; null where none belongs. */
  nonce: string | null
  /** The access token that it comes with. */
  accessToken: string
}

/** Whose session an id_token is about. */
export interface IdTokenSubject {
  clientId: string
  userId: string
  /** The client's session. */
  sessionId: string
}

/** What tells a client who has signed in (OpenID Connect Core 1.0 §2). */
export interface IdTokens {
  /** @throws `unavailable` while no key can be trusted. */
  sign(token: NewIdToken): string
  /**
   * Tells a client that a session of its has ended (Back-Channel Logout 1.0 §2.4). `id` is the same for the same end.
   * `userId` is null once the account is deleted. @throws `unavailable`.
   */
  signLogout(
    id: string,
    client: NewIdToken['client'],
    ended: { userId: string | null; sessionId: string },
  ): string
  /** Whom an authentic id_token is about, also if it has expired; null for any other text. */
  identify(token: string): Promise<IdTokenSubject | null>
}

export interface IdTokensDeps {
  keyRing: Pick<KeyRing, 'signer' | 'verifier' | 'findVerifier'>
  clock: Clock
  issuer: string
}

// A client checks it when it gets it.
const TTL_SECONDS = 600
const LOGOUT_TTL_SECONDS = 120
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'
const MAX_CHARS = 4_096

export function createIdTokens({ keyRing, clock, issuer }: IdTokensDeps): IdTokens {
  const lifeOf = (seconds: number) => {
    const iat = Math.floor(clock.now() / 1000)
    return { iat, exp: iat + seconds }
  }

  return {
    sign({ client, session, acr, nonce, accessToken }) {
      const { sub, sid, auth_time, amr } = session
      const key = keyRing.signer(client.idTokenAlg)
      const claims = {
        iss: issuer,
        sub,
        aud: client.id,
        ...lifeOf(TTL_SECONDS),
        auth_time,
        nonce: nonce ?? undefined,
        acr,
        amr: amr.length > 0 ? amr : undefined,
        sid,
        at_hash: halfHash(accessToken, key.alg),
      }
      return serialize(claims, key, 'JWT')
    },
    signLogout(id, client, { userId, sessionId }) {
      const claims = {
        iss: issuer,
        sub: userId ?? undefined,
        aud: client.id,
        ...lifeOf(LOGOUT_TTL_SECONDS),
        jti: id,
        sid: sessionId,
        events: { [LOGOUT_EVENT]: {} },
      }
      return serialize(claims, keyRing.signer(client.idTokenAlg), 'logout+jwt')
    },
    async identify(token) {
      if (token.length > MAX_CHARS) return null
      try {
        const { payload } = await jwtVerify(token, verificationKey(keyRing, Number.POSITIVE_INFINITY), {
          algorithms: [...SIGNING_ALGORITHMS],
          typ: 'JWT',
          issuer,
          requiredClaims: ['sub', 'aud', 'exp', 'iat', 'auth_time', 'sid'],
          // Every token is from after the first moment.
          currentDate: new Date(0),
        })
        return subjectOf(payload)
      } catch (error) {
        if (error instanceof errors.JOSEError) return null
        throw error
      }
    },
  }
}

/** An access token of the same `typ` has a `client_id`. */
function subjectOf({ aud, sub, sid, client_id }: JWTPayload): IdTokenSubject | null {
  if (client_id !== undefined || !isVisibleText(aud) || !isVisibleText(sub) || !isVisibleText(sid))
    return null
  return { clientId: aud, userId: sub, sessionId: sid }
}

/** OpenID Connect Core 1.0 §3.1.3.6: with the hash of the signature's algorithm, which for Ed25519 is SHA-512. */
function halfHash(text: string, alg: string): string {
  const digest = createHash(alg === 'EdDSA' ? 'sha512' : 'sha256')
    .update(text)
    .digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}
