import { type CryptoKey, calculateJwkThumbprint, compactVerify, importJWK, type JWK } from 'jose'
import { LRUCache } from 'lru-cache'
import { CLIENT_ALGORITHMS, isPrivateKey, SMALLEST_RSA_KEY } from '../../platform/client-keys.ts'
import { Problem } from '../problems/problems.ts'

/** A proof (RFC 9449 §4.2) that has the right form; its signature and what it says have not been checked. */
export interface Proof {
  text: string
  /** As it is encoded. */
  header: string
  alg: string
  jwk: JWK
  claims: { jti: string; htm: unknown; htu: unknown; ath: unknown; nonce: unknown }
}

const MAX_CHARS = 4_096
const MAX_JTI_CHARS = 256
const KNOWN_KEYS = 1_000
const JWT = /^([\w-]+)\.([\w-]+)\.[\w-]+$/
const RSA_BITS = { least: SMALLEST_RSA_KEY, most: 4_096 }
const MAX_EXPONENT_BITS = 32

/** @throws `invalid_dpop_proof`. */
export function readProof(text: string): Proof {
  const [, header, payload] = (text.length <= MAX_CHARS && JWT.exec(text)) || []
  if (!header || !payload) throw refused('The DPoP header must hold exactly one JWT.')
  const { typ, alg, jwk, crit } = readObject(header)
  const { jti, htm, htu, iat, ath, nonce } = readObject(payload)
  if (typ !== 'dpop+jwt') throw refused('typ must be dpop+jwt.')
  if (typeof alg !== 'string' || !CLIENT_ALGORITHMS.includes(alg))
    throw refused(`alg must be one of ${CLIENT_ALGORITHMS.join(' ')}.`)
  if (crit !== undefined) throw refused('No critical extension is understood.')
  if (!isObject(jwk)) throw refused('jwk must be a public key.')
  if (isPrivateKey(jwk)) throw refused('jwk must not be a private key.')
  if (jwk.kty === 'RSA' && !isUsualRsa(jwk)) throw refused('The RSA key must have 2048 to 4096 bits.')
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_CHARS)
    throw refused(`jti must have 1 to ${MAX_JTI_CHARS} characters.`)
  // Its value is not compared: a nonce says when a proof was made, whatever the client's clock shows.
  if (!Number.isFinite(iat)) throw refused('iat must be a number.')
  return { text, header, alg, jwk, claims: { jti, htm, htu, ath, nonce } }
}

/** Returns the thumbprint (RFC 7638) of the key that has signed a proof. @throws `invalid_dpop_proof`. */
export type VerifySignature = (proof: Proof) => Promise<string>

export function createVerifySignature(): VerifySignature {
  // By header, which all proofs of a key share: importing a key costs more than verifying with it.
  const known = new LRUCache<string, ImportedKey>({ max: KNOWN_KEYS })
  return async ({ text, header, alg, jwk }) => {
    try {
      const imported = known.get(header) ?? (await importKey(jwk, alg))
      await compactVerify(text, imported.key, { algorithms: CLIENT_ALGORITHMS })
      known.set(header, imported)
      return imported.thumbprint
    } catch (cause) {
      // Also what the cryptographic library throws for a key that is none.
      throw refused('The signature does not verify with jwk.', cause)
    }
  }
}

interface ImportedKey {
  key: CryptoKey | Uint8Array
  thumbprint: string
}

/** Only of the members that make the key: what else a JWK may say, such as `use`, does not count. */
async function importKey({ kty, crv, x, y, n, e }: JWK, alg: string): Promise<ImportedKey> {
  const jwk = { kty, crv, x, y, n, e } as JWK
  const [key, thumbprint] = await Promise.all([importJWK(jwk, alg), calculateJwkThumbprint(jwk)])
  return { key, thumbprint }
}

export const refused = (detail: string, cause?: unknown) =>
  new Problem('invalid_dpop_proof', { detail }, { cause })

/** Verifying takes longer with each bit: of the modulus, and of the exponent. */
function isUsualRsa({ n, e }: Record<string, unknown>): boolean {
  const bits = bitsOf(n)
  return bits >= RSA_BITS.least && bits <= RSA_BITS.most && bitsOf(e) <= MAX_EXPONENT_BITS
}

function bitsOf(number: unknown): number {
  if (typeof number !== 'string') return 0
  const digits = Buffer.from(number, 'base64url').toString('hex').replace(/^0+/, '')
  return digits === '' ? 0 : BigInt(`0x${digits}`).toString(2).length
}

function readObject(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    if (isObject(value)) return value
  } catch {
    // Answered below.
  }
  throw refused('The proof is not a JWT.')
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
