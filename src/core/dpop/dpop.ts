import { createHash } from 'node:crypto'
import type { UsesPlatform } from '../../platform/platform.ts'
import { Problem } from '../problems/problems.ts'
import { createNonces } from './nonces.ts'
import { createVerifySignature, readProof, refused } from './proof.ts'
import { normalTarget } from './target.ts'
import { createUsedProofs, type UsedProofsOptions } from './used-proofs.ts'

/** The request that a proof is for. */
export interface ProvenRequest {
  method: string
  /** Where clients send it, by `PUBLIC_URL`. */
  url: string
  /** The access token that comes with it, if one does. */
  accessToken?: string | undefined
}

/** Proofs that a client has a key (DPoP, RFC 9449). */
export interface Dpop {
  /** A nonce for the next proofs: valid for one to two minutes. */
  nonce(): Promise<string>
  /** Whether a proof lacks only a nonce that is recent enough, as far as can be seen without checking its signature. */
  lacksNonce(proof: string): boolean
  /**
   * Checks a proof and uses it up.
   * @returns the thumbprint of the key (RFC 7638), and a nonce for the next proof.
   * @throws `invalid_dpop_proof`, `use_dpop_nonce`; `unavailable` while its use cannot be noted.
   */
  check(proof: string, request: ProvenRequest): Promise<{ thumbprint: string; nonce: string }>
}

export function openDpop(
  deps: UsesPlatform<'redis' | 'redisBreaker' | 'db' | 'clock' | 'secrets'>,
  options: UsedProofsOptions,
): Dpop {
  const verifySignature = createVerifySignature()
  const nonces = createNonces(deps)
  const usedProofs = createUsedProofs(deps, options)

  const readNonce = (nonce: unknown) => (typeof nonce === 'string' ? nonces.read(nonce) : null)

  async function newNonce(): Promise<string> {
    const window = nonces.window()
    return nonces.write({ window, memory: await usedProofs.memoryOf(window) })
  }

  return {
    nonce: newNonce,
    lacksNonce(text) {
      try {
        return readNonce(readProof(text).claims.nonce) === null
      } catch {
        return false
      }
    },
    async check(text, { method, url, accessToken }) {
      const proof = readProof(text)
      const { jti, htm, htu, ath, nonce: presented } = proof.claims
      if (htm !== method) throw refused(`htm must be ${method}.`)
      if (typeof htu !== 'string' || normalTarget(htu) !== normalTarget(url))
        throw refused(`htu must be ${url}.`)
      if (accessToken !== undefined && ath !== createHash('sha256').update(accessToken).digest('base64url'))
        throw refused('ath must be the hash of the access token.')
      const nonce = readNonce(presented)
      if (!nonce) throw new Problem('use_dpop_nonce')
      const thumbprint = await verifySignature(proof)
      const id = createHash('sha256').update(JSON.stringify(['dpop', thumbprint, jti]))
      const use = await usedProofs.spend(nonce, new Uint8Array(id.digest()))
      if (use === 'lost') throw new Problem('use_dpop_nonce')
      if (use === 'repeated') throw refused('The proof has been used.')
      const isCurrent = nonce.window === nonces.window()
      return { thumbprint, nonce: isCurrent ? nonces.write(nonce) : await newNonce() }
    },
  }
}
