import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Secrets } from '../../../platform/secrets.ts'
import { createHmac } from './hmac.ts'

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
const CONTEXT = 'ratchet.refresh.v1'
const PAYLOAD_BYTES = 1 + 16 + 4
const TOKEN_BYTES = PAYLOAD_BYTES + 32
const TOKEN_CHARS = PREFIX.length + Math.ceil((TOKEN_BYTES * 4) / 3)

/** @throws when two secrets have the same key id (a chance of 1 in 256 per pair): replace the newer one. */
export function createRefreshTokenFormat(secrets: Secrets): RefreshTokenFormat {
  const tags = new Map<number, (payload: Buffer) => string>()
  const ids = secrets.derive('refresh-key-id', 1).map((id) => id[0] as number)
  secrets.derive('refresh-token').forEach((key, index) => {
    const id = ids[index] as number
    if (tags.has(id)) throw new Error('APP_SECRETS: two secrets share a key id; replace the newer one')
    tags.set(id, createHmac(key, CONTEXT, PAYLOAD_BYTES))
  })
  const newest = ids[0] as number
  const newestTag = tags.get(newest) as (payload: Buffer) => string

  return {
    newFamily() {
      const family = randomBytes(16)
      return { family, familyHash: hashFamily(family) }
    },

    encode(family, generation) {
      const bytes = Buffer.allocUnsafe(TOKEN_BYTES)
      bytes[0] = newest
      bytes.set(family, 1)
      bytes.writeUInt32BE(generation, 17)
      bytes.write(newestTag(bytes.subarray(0, PAYLOAD_BYTES)), PAYLOAD_BYTES, 'latin1')
      return PREFIX + bytes.toString('base64url')
    },

    parse(text) {
      if (text.length !== TOKEN_CHARS || !text.startsWith(PREFIX)) return null
      const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
      if (bytes.length !== TOKEN_BYTES) return null
      const tagOf = tags.get(bytes[0] as number)
      // An unknown key id costs the same HMAC as a known one.
      const tag = Buffer.from((tagOf ?? newestTag)(bytes.subarray(0, PAYLOAD_BYTES)), 'latin1')
      const authentic = timingSafeEqual(tag, bytes.subarray(PAYLOAD_BYTES))
      // 53 bytes leave unused bits in their base64url text: only the canonical spelling is accepted.
      if (!authentic || !tagOf || bytes.toString('base64url') !== text.slice(PREFIX.length)) return null
      const family = Buffer.from(bytes.subarray(1, 17))
      return { family, familyHash: hashFamily(family), generation: bytes.readUInt32BE(17) }
    },
  }
}

const hashFamily = (family: Buffer) => hash('sha256', family, 'base64url')
