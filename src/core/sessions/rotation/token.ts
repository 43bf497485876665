import { createHmac, createSecretKey, hash, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Secrets } from '../../../platform/secrets.ts'

/**
 * The refresh token: `rt1_` + base64url(key id (1) ‖ family (16) ‖ generation (4) ‖ tag (32)).
 * The successor of a token is a function of the token, so it is never stored and can always be computed again.
 */
export interface RefreshToken {
  /** 16 random bytes, secret; stores know only its hash. */
  family: Buffer
  /** base64url SHA-256 of the family: its key in the stores. */
  familyHash: string
  generation: number
}

export interface RefreshTokenFormat {
  newFamily(): Pick<RefreshToken, 'family' | 'familyHash'>
  encode(family: Buffer, generation: number): string
  /** Null unless the text is exactly a token that this deployment issued. */
  parse(text: string): RefreshToken | null
}

const PREFIX = 'rt1_'
const CONTEXT = Buffer.from('ratchet.refresh.v1')
const PAYLOAD_BYTES = 1 + 16 + 4
const TOKEN_BYTES = PAYLOAD_BYTES + 32
const TOKEN_CHARS = PREFIX.length + Math.ceil((TOKEN_BYTES * 4) / 3)

/** @throws when two secrets have the same key id (a chance of 1 in 256 per pair): replace the newer one. */
export function createRefreshTokenFormat(secrets: Secrets): RefreshTokenFormat {
  const keys = new Map<number, KeyObject>()
  const ids = secrets.derive('refresh-key-id', 1).map((id) => id[0] as number)
  secrets.derive('refresh-token').forEach((key, index) => {
    const id = ids[index] as number
    if (keys.has(id)) throw new Error('APP_SECRETS: two secrets share a key id; replace the newer one')
    keys.set(id, createSecretKey(key))
  })
  const newest = ids[0] as number

  const tagOf = (key: KeyObject, payload: Buffer) =>
    createHmac('sha256', key).update(CONTEXT).update(payload).digest()

  return {
    newFamily() {
      const family = randomBytes(16)
      return { family, familyHash: hashFamily(family) }
    },

    encode(family, generation) {
      const payload = Buffer.allocUnsafe(PAYLOAD_BYTES)
      payload[0] = newest
      family.copy(payload, 1)
      payload.writeUInt32BE(generation, 17)
      const tag = tagOf(keys.get(newest) as KeyObject, payload)
      return PREFIX + Buffer.concat([payload, tag]).toString('base64url')
    },

    parse(text) {
      if (text.length !== TOKEN_CHARS || !text.startsWith(PREFIX)) return null
      const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
      if (bytes.length !== TOKEN_BYTES) return null
      const key = keys.get(bytes[0] as number)
      const payload = bytes.subarray(0, PAYLOAD_BYTES)
      // An unknown key id costs the same HMAC as a known one.
      const tag = tagOf(key ?? (keys.get(newest) as KeyObject), payload)
      const authentic = timingSafeEqual(tag, bytes.subarray(PAYLOAD_BYTES))
      // 53 bytes leave unused bits in their base64url text: only the canonical spelling is accepted.
      if (!authentic || !key || bytes.toString('base64url') !== text.slice(PREFIX.length)) return null
      const family = Buffer.from(bytes.subarray(1, 17))
      return { family, familyHash: hashFamily(family), generation: bytes.readUInt32BE(17) }
    },
  }
}

const hashFamily = (family: Buffer) => hash('sha256', family, 'base64url')
