import { hash, randomBytes } from 'node:crypto'

/** A token that says nothing: 256 random bits, base64url. Stores keep only its hash. */
export const newOpaqueToken = (): string => randomBytes(32).toString('base64url')

/** SHA-256. A token of 256 random bits needs no slower hash. */
export const hashOpaqueToken = (token: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(hash('sha256', token, 'buffer'))
