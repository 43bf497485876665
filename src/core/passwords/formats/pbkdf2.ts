import { type Cost, DIGESTS, derivePbkdf2, type Pbkdf2Family } from '../hash-cost.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { equal, type Format, integer, type ReadableHash } from './format.ts'

type Pbkdf2Cost = Extract<Cost, { family: Pbkdf2Family }>

const PHC = /^\$(pbkdf2-sha(?:1|256|512))\$i=(\d+)(?:,l=\d+)?\$/
/** passlib writes the iterations alone, and sha1 without its name. */
const PASSLIB = /^\$(pbkdf2(?:-sha256|-sha512)?)\$(\d+)\$/
const DJANGO = /^pbkdf2_(sha1|sha256)\$(\d+)\$/

/** PBKDF2 as PHC strings, and those of passlib, Django and ASP.NET Core Identity. */
export const pbkdf2: Format = {
  cost(start) {
    const [, family, iterations] = PHC.exec(start) ?? PASSLIB.exec(start) ?? []
    if (family) return costOf(family === 'pbkdf2' ? 'pbkdf2-sha1' : family, integer(iterations))
    const [, digest, rounds] = DJANGO.exec(start) ?? []
    if (digest) return costOf(`pbkdf2-${digest}`, integer(rounds))
    return /^AQ/.test(start) ? readIdentity3(Buffer.from(start.slice(0, 12), 'base64')) : null
  },
  read(text) {
    const cost = pbkdf2.cost(text) as Pbkdf2Cost | null
    if (cost && !text.startsWith('AQ')) {
      const [salt = '', hash = '', ...rest] = text
        .replace(PHC, '')
        .replace(PASSLIB, '')
        .replace(DJANGO, '')
        .split('$')
      // Django's salt is text.
      const salted = DJANGO.test(text) ? Buffer.from(salt) : decodeBase64(salt)
      return rest.length === 0 ? readable(cost, salted, decodeBase64(hash), text) : null
    }
    return readIdentity(text)
  },
}

const costOf = (family: string, iterations: number): Pbkdf2Cost | null =>
  family in DIGESTS && iterations >= 1 ? { family: family as Pbkdf2Family, iterations } : null

/** Shorter ones would match by chance. */
const LEAST_HASH_BYTES = 16

function readable(
  cost: Pbkdf2Cost,
  salt: Buffer | null,
  hash: Buffer | null,
  text?: string,
): ReadableHash | null {
  if (!salt || !hash || hash.length < LEAST_HASH_BYTES || hash.length > 512) return null
  // Each block of a long hash costs all iterations, and the first one tells enough.
  const first = hash.subarray(0, BLOCK_BYTES[cost.family])
  return {
    cost,
    text: text ?? `$${cost.family}$i=${cost.iterations}$${encodeBase64(salt)}$${encodeBase64(hash)}`,
    check: async (password) => equal(await derivePbkdf2(password, salt, first.length, cost), first),
  }
}

const BLOCK_BYTES = { 'pbkdf2-sha1': 20, 'pbkdf2-sha256': 32, 'pbkdf2-sha512': 64 } as const

const IDENTITY_DIGESTS = ['pbkdf2-sha1', 'pbkdf2-sha256', 'pbkdf2-sha512'] as const
const IDENTITY_2 = { family: 'pbkdf2-sha1', iterations: 1_000 } as const

/**
 * ASP.NET Core Identity: base64 of a version byte and, in version 2, 16 bytes of salt and 32 of the hash; in version 3,
 * the digest, iterations and length of the salt as 32-bit integers, then salt and hash. Stored as a PHC string.
 */
function readIdentity(text: string): ReadableHash | null {
  const bytes = /^A[\w+/]+={0,2}$/.test(text) ? decodeBase64(text) : null
  if (bytes?.[0] === 0 && bytes.length === 49) {
    return readable(IDENTITY_2, bytes.subarray(1, 17), bytes.subarray(17))
  }
  const cost = bytes && readIdentity3(bytes)
  if (!bytes || !cost || bytes.length < 13) return null
  const end = 13 + bytes.readUInt32BE(9)
  if (end < 13 + 8 || end > bytes.length) return null
  return readable(cost, bytes.subarray(13, end), bytes.subarray(end))
}

function readIdentity3(bytes: Buffer): Pbkdf2Cost | null {
  if (bytes[0] !== 1 || bytes.length < 9) return null
  const family = IDENTITY_DIGESTS[bytes.readUInt32BE(1)]
  const iterations = bytes.readUInt32BE(5)
  return family && iterations >= 1 ? { family, iterations } : null
}
