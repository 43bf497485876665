import { hash } from 'node:crypto'

const BLOCK_BYTES = 64
const DIGEST_BYTES = 32

/**
 * HMAC-SHA-256 (RFC 2104) of messages that begin with `context` and continue with `messageBytes` bytes. The result is
 * 32 bytes as latin1 text.
 * @param key at most 64 bytes.
 */
export function createHmac(
  key: Uint8Array,
  context: string,
  messageBytes: number,
): (message: Uint8Array) => string {
  if (key.length > BLOCK_BYTES) throw new RangeError('a key has at most 64 bytes')
  const prefix = Buffer.from(context)
  const messageAt = BLOCK_BYTES + prefix.length
  const inner = Buffer.alloc(messageAt + messageBytes)
  const outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES)
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    const byte = key[at] ?? 0
    inner[at] = byte ^ 0x36
    outer[at] = byte ^ 0x5c
  }
  inner.set(prefix, BLOCK_BYTES)

  // One-shot hashes: an Hmac of `node:crypto` is a native object, which costs more than the hashing.
  return (message) => {
    if (message.length !== messageBytes) throw new RangeError(`a message has ${messageBytes} bytes`)
    inner.set(message, messageAt)
    outer.write(hash('sha256', inner, 'binary'), BLOCK_BYTES, 'latin1')
    return hash('sha256', outer, 'binary')
  }
}
