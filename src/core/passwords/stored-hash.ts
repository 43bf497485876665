import { argon2 } from './formats/argon2.ts'
import { BCRYPT_MAX_BYTES, bcrypt } from './formats/bcrypt.ts'
import type { ReadableHash } from './formats/format.ts'
import { pbkdf2 } from './formats/pbkdf2.ts'
import { scrypt } from './formats/scrypt.ts'
import { type Cost, isAffordable } from './hash-cost.ts'

const FORMATS = [argon2, bcrypt, scrypt, pbkdf2]

// Longer than any hash that is accepted. Firebase's holds two keys.
const MAX_LENGTH = 2048

/** Null if it is in none of the formats. */
export function readHash(text: string): ReadableHash | null {
  if (text.length > MAX_LENGTH) return null
  const hash = FORMATS.map((format) => format.read(text)).find((found) => found !== null)
  if (!hash || hash.cost.family.startsWith('argon2')) return hash ?? null
  // HMAC does not see NULs at the end, and bcrypt repeats a password with a NUL between.
  return { ...hash, check: async (password) => (await hash.check(password)) && !password.includes('\0') }
}

/** The cost of the hashes that begin like this; null if it is none of the formats. */
export const costOfKind = (start: string): Cost | null =>
  FORMATS.map((format) => format.cost(start)).find((cost) => cost !== null) ?? null

/** Whether a hash compares the whole password. */
export const comparesAll = ({ cost }: ReadableHash, password: string): boolean =>
  cost.family !== 'bcrypt' || Buffer.byteLength(password) <= BCRYPT_MAX_BYTES

/** What a hash from elsewhere is: the form in which it is stored, or why it cannot be used. */
export function importHash(
  text: string,
  own: Pick<Extract<Cost, { memoryKib: number }>, 'memoryKib' | 'iterations'>,
): { text: string } | { fault: 'unknown' | 'too_costly' } {
  const hash = readHash(text)
  if (!hash) return { fault: 'unknown' }
  return isAllowed(hash.cost, own) ? { text: hash.text } : { fault: 'too_costly' }
}

/** Whether a hash may be computed: within the limits of imported ones, or no dearer than the server's own. */
export function isAllowed(cost: Cost, own: { memoryKib: number; iterations: number }): boolean {
  if (isAffordable(cost)) return true
  return cost.family === 'argon2id' && cost.memoryKib <= own.memoryKib && cost.iterations <= own.iterations
}
