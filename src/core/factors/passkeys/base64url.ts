export type Bytes = Uint8Array<ArrayBuffer>

/** The bytes of a base64url text; null unless it is in canonical form. */
export function bytesOf(text: unknown): Bytes | null {
  if (typeof text !== 'string' || text === '') return null
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? new Uint8Array(bytes) : null
}
