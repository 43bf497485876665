import { type CryptoKey, errors, type JWTHeaderParameters } from 'jose'
import type { KeyRing } from './key-ring.ts'

/** What finds the key of a token by its header, for `jwtVerify`; a key that is not known yet is looked up. */
export const verificationKey =
  (keyRing: Pick<KeyRing, 'verifier' | 'findVerifier'>, graceMs?: number) =>
  async ({ kid, alg }: JWTHeaderParameters): Promise<CryptoKey> => {
    const known = kid
      ? (keyRing.verifier(kid, graceMs) ?? (await keyRing.findVerifier(kid, graceMs)))
      : undefined
    if (!known || known.alg !== alg) throw new errors.JWKSNoMatchingKey()
    return known.key
  }
