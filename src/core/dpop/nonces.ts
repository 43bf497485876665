import { createHmac, timingSafeEqual } from 'node:crypto'
import { CLOCK_TOLERANCE } from '../../platform/access-token-times.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

/** What a nonce says. */
export interface Nonce {
  /** The minute in which it was made, counted since the epoch of Unix. */
  window: number
  /** The memory that keeps the proofs with this nonce: 16 hexadecimal digits. */
  memory: string
}

/**
 * Nonces of this server (RFC 9449 §8). Nothing is stored: a nonce is a window of time and a memory, with a tag that only
 * this deployment can make. A node accepts those of its own window and of the two beside it.
 */
export interface Nonces {
  /** The window of nonces that are made now. */
  window(): number
  write(nonce: Nonce): string
  /** Null for any other text, and for a nonce that is too old. */
  read(text: string): Nonce | null
}

const WINDOW_MS = 60_000
const SAID_BYTES = 12
const TAG_BYTES = 16

/** Milliseconds since the epoch of Unix after which no node accepts a nonce. */
export const nonceEndsAt = ({ window }: Pick<Nonce, 'window'>): number =>
  (window + 2) * WINDOW_MS + CLOCK_TOLERANCE * 1_000

export function createNonces({ secrets, clock }: UsesPlatform<'secrets' | 'clock'>): Nonces {
  const keys = secrets.derive('dpop-nonce')
  const window = () => Math.floor(clock.now() / WINDOW_MS)
  const tagOf = (said: Uint8Array, key: Buffer) =>
    createHmac('sha256', key).update(said).digest().subarray(0, TAG_BYTES)

  return {
    window,
    write(nonce) {
      const said = Buffer.alloc(SAID_BYTES)
      said.writeUInt32BE(nonce.window)
      said.write(nonce.memory, 4, 'hex')
      return Buffer.concat([said, tagOf(said, keys[0] as Buffer)]).toString('base64url')
    },
    read(text) {
      const bytes = Buffer.from(text, 'base64url')
      if (bytes.length !== SAID_BYTES + TAG_BYTES) return null
      const [said, tag] = [bytes.subarray(0, SAID_BYTES), bytes.subarray(SAID_BYTES)]
      if (!keys.some((key) => timingSafeEqual(tag, tagOf(said, key)))) return null
      const nonce = { window: said.readUInt32BE(), memory: said.toString('hex', 4) }
      // The next window too: another node's clock may be ahead.
      return Math.abs(nonce.window - window()) <= 1 ? nonce : null
    },
  }
}
