import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** What a derived key is for; part of the derivation, so that no two uses share a key. */
export type SecretPurpose = 'refresh-token' | 'refresh-key-id' | 'signing-key' | 'outbox' | 'ticket' | 'totp'

/** Everything secret in a deployment, derived from `APP_SECRETS` (HKDF-SHA-256, RFC 5869). */
export interface Secrets {
  /** One derived key per configured secret, newest first, `length` bytes each. */
  derive(purpose: SecretPurpose, length?: number): Buffer[]
  /** Encrypts with the newest secret (AES-256-GCM); `context` must be given again to open it. */
  seal(purpose: SecretPurpose, context: string, plaintext: string): Uint8Array<ArrayBuffer>
  /** Decrypts with whichever configured secret sealed it; throws when none did. */
  open(purpose: SecretPurpose, context: string, sealed: Uint8Array): string
}

const IV_BYTES = 12
const TAG_BYTES = 16

/** @param appSecrets newest first, each of 32 bytes or more. */
export function createSecrets(appSecrets: readonly string[]): Secrets {
  const cache = new Map<string, Buffer[]>()

  function derive(purpose: SecretPurpose, length = 32): Buffer[] {
    const id = `${purpose}:${length}`
    let keys = cache.get(id)
    if (!keys) {
      keys = appSecrets.map((secret) =>
        Buffer.from(hkdfSync('sha256', secret, '', `ratchet.${purpose}.v1`, length)),
      )
      cache.set(id, keys)
    }
    return keys
  }

  return {
    derive,

    seal(purpose, context, plaintext) {
      const iv = randomBytes(IV_BYTES)
      const cipher = createCipheriv('aes-256-gcm', derive(purpose)[0] as Buffer, iv)
      cipher.setAAD(Buffer.from(context))
      const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
      return new Uint8Array(Buffer.concat([iv, cipher.getAuthTag(), body]))
    },

    open(purpose, context, sealed) {
      for (const key of derive(purpose)) {
        const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV_BYTES))
        decipher.setAAD(Buffer.from(context))
        decipher.setAuthTag(sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
        try {
          return (
            decipher.update(sealed.subarray(IV_BYTES + TAG_BYTES)).toString('utf8') + decipher.final('utf8')
          )
        } catch {
          // sealed under another secret: try the next
        }
      }
      throw new Error(`nothing in APP_SECRETS opens this ${purpose}: was a secret removed too early?`)
    },
  }
}
