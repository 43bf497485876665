import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** What a derived key is for; part of the derivation, so that no two uses share a key. */
export type SecretPurpose =
  | 'refresh-token'
  | 'refresh-key-id'
  | 'signing-key'
  | 'outbox'
  | 'ticket'
  | 'dpop-nonce'
  | 'client-home'
  | 'client-registration'
  | 'totp'
  | 'registration-link'
  | 'guess-counter'
  | 'user-code'
  | 'outbox-source'

/** The keys of a deployment, derived from `APP_SECRETS` (HKDF-SHA-256, RFC 5869). */
export interface Secrets {
  /** One derived key per configured secret, newest first, `length` bytes each. */
  derive(purpose: SecretPurpose, length?: number): Buffer[]
  /** Encrypts with the newest secret (AES-256-GCM). `open` needs the same `context`. */
  seal(purpose: SecretPurpose, context: string, plaintext: string): Uint8Array<ArrayBuffer>
  /** Decrypts with the configured secret that sealed it. @throws when none did. */
  open(purpose: SecretPurpose, context: string, sealed: Uint8Array): string
  /** Seals it again with the newest secret; null when that secret sealed it already. */
  renew(purpose: SecretPurpose, context: string, sealed: Uint8Array): Uint8Array<ArrayBuffer> | null
}

const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16
// Without it, Node accepts tags of four bytes, which can be guessed.
const TAG = { authTagLength: TAG_BYTES }

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

  function seal(purpose: SecretPurpose, context: string, plaintext: string): Uint8Array<ArrayBuffer> {
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv(CIPHER, derive(purpose)[0] as Buffer, iv, TAG)
    cipher.setAAD(Buffer.from(context))
    const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
    return new Uint8Array(Buffer.concat([iv, cipher.getAuthTag(), body]))
  }

  /** Also returns the index of the secret that opened it; 0 is the newest. */
  function unseal(purpose: SecretPurpose, context: string, sealed: Uint8Array): [text: string, age: number] {
    for (const [age, key] of derive(purpose).entries()) {
      try {
        const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, IV_BYTES), TAG)
        decipher.setAAD(Buffer.from(context))
        decipher.setAuthTag(sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
        const body = sealed.subarray(IV_BYTES + TAG_BYTES)
        return [decipher.update(body).toString('utf8') + decipher.final('utf8'), age]
      } catch {
        // Sealed with another secret, or cut off: try the next one.
      }
    }
    throw new Error(`nothing in APP_SECRETS opens this ${purpose}: was a secret removed too early?`)
  }

  return {
    derive,
    seal,
    open: (purpose, context, sealed) => unseal(purpose, context, sealed)[0],
    renew(purpose, context, sealed) {
      const [text, age] = unseal(purpose, context, sealed)
      return age === 0 ? null : seal(purpose, context, text)
    },
  }
}
