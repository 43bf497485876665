import { randomBytes } from 'node:crypto'
import { sha256 } from './sha256.ts'

/** A token that says nothing: 256 random bits, base64url. Stores keep only its hash. */
export const newOpaqueToken = (): string => randomBytes(32).toString('base64url')

/** A token of 256 random bits needs no slower hash. */
export const hashOpaqueToken = (token: string): Uint8Array<ArrayBuffer> => sha256(token)
