import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { cose, decodeCredentialPublicKey } from '@simplewebauthn/server/helpers'

/** EdDSA, ES256 and RS256: the algorithms that browsers and authenticators support, best first. */
export const ALGORITHMS: readonly number[] = [cose.COSEALG.EdDSA, cose.COSEALG.ES256, cose.COSEALG.RS256]

/**
 * Whether a COSE key can verify signatures. The library checks that only when the passkey is first used, and a factor
 * that does not work locks its owner out. @throws when it is not a key.
 */
export function isUsableKey(publicKey: Uint8Array): boolean {
  const key = decodeCredentialPublicKey(new Uint8Array(publicKey)) as unknown as Map<number, unknown>
  const jwk = toJwk(key)
  if (!jwk) return false
  // Throws for a point that is not on the curve.
  const { asymmetricKeyDetails } = createPublicKey({ key: jwk, format: 'jwk' })
  const bits = asymmetricKeyDetails?.modulusLength
  return bits === undefined || (bits >= 2048 && bits <= 8192)
}

/** Null unless key type, curve and algorithm match (RFC 9053 §7, RFC 8230 §4). */
function toJwk(key: Map<number, unknown>): JsonWebKey | null {
  const { COSEALG, COSECRV, COSEKEYS, COSEKTY } = cose
  const is = (kty: number, crv?: number) =>
    key.get(COSEKEYS.kty) === kty && (crv === undefined || key.get(COSEKEYS.crv) === crv)
  const text = (label: number, length?: number) => {
    const bytes = key.get(label)
    if (!(bytes instanceof Uint8Array)) throw new Error(`no bytes at ${label}`)
    if (length !== undefined && bytes.length !== length) throw new Error(`not ${length} bytes at ${label}`)
    return Buffer.from(bytes).toString('base64url')
  }
  switch (key.get(COSEKEYS.alg)) {
    case COSEALG.ES256:
      if (!is(COSEKTY.EC2, COSECRV.P256)) return null
      return { kty: 'EC', crv: 'P-256', x: text(COSEKEYS.x, 32), y: text(COSEKEYS.y, 32) }
    case COSEALG.EdDSA:
      if (!is(COSEKTY.OKP, COSECRV.ED25519)) return null
      return { kty: 'OKP', crv: 'Ed25519', x: text(COSEKEYS.x, 32) }
    case COSEALG.RS256:
      if (!is(COSEKTY.RSA)) return null
      return { kty: 'RSA', n: text(COSEKEYS.n), e: text(COSEKEYS.e) }
    default:
      return null
  }
}
