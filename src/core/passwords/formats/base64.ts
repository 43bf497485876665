/** Decodes base64 in either alphabet, with or without padding, and passlib's (`.` for `+`). Null for anything else. */
export function decodeBase64(text: string): Buffer | null {
  const plain = text.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/').replaceAll('.', '+')
  const bytes = Buffer.from(plain, 'base64')
  // Node skips what it does not know, and ignores bits that are left over.
  return encodeBase64(bytes) === plain ? bytes : null
}

/** Without padding, as in PHC strings. */
export const encodeBase64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
