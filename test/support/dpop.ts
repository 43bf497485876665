import { createHash, randomUUID } from 'node:crypto'
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { Answer } from './caller.ts'
import { post } from './oauth.ts'
import type { TestServer } from './server.ts'

const ISSUER = 'http://localhost:8080'
export const TOKEN_URL = `${ISSUER}/oauth/token`

export interface ProofParts {
  header?: object
  claims?: object
  /** The key that signs, instead of the one in the header. */
  key?: CryptoKey
}

/** A key, and proofs that it signs. */
export async function proofKey(alg = 'ES256') {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  return {
    jwk,
    privateJwk: (await exportJWK(privateKey)) as JWK,
    thumbprint: await calculateJwkThumbprint(jwk),
    /** A proof for the token endpoint, unless its parts say something else. */
    prove: (nonce: string | undefined, { header, claims, key }: ProofParts = {}): Promise<string> =>
      new SignJWT({
        jti: randomUUID(),
        htm: 'POST',
        htu: TOKEN_URL,
        iat: Math.floor(Date.now() / 1000),
        ...(nonce === undefined ? {} : { nonce }),
        ...claims,
      })
        .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk, ...header })
        .sign(key ?? (privateKey as CryptoKey)),
  }
}

/** A clock that stands at the beginning of a minute until a test moves it: nonces do not change meanwhile. */
export function stoppedClock() {
  let now = Date.now() - (Date.now() % 60_000)
  return {
    now: () => now,
    advance(ms: number) {
      now += ms
    },
  }
}

export const hashOf = (accessToken: string): string =>
  createHash('sha256').update(accessToken).digest('base64url')

/** Asks for a token for a client itself, with a proof. */
export const getToken = (
  server: Pick<TestServer, 'call'>,
  robot: { id: string; secret: string },
  dpop?: string,
  parameters: Record<string, string> = {},
): Promise<Answer> => {
  const headers = dpop === undefined ? {} : { dpop }
  return post(server, '/oauth/token', { grant_type: 'client_credentials', ...parameters }, robot, headers)
}

/** A nonce of the server, as a client gets it that has none. */
export async function getNonce(server: Pick<TestServer, 'call'>): Promise<string> {
  const { prove } = await proofKey()
  const { headers } = await post(server, '/oauth/token', '', undefined, { dpop: await prove(undefined) })
  return headers.get('dpop-nonce') as string
}
