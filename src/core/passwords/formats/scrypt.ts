import { createCipheriv } from 'node:crypto'
import { type Cost, deriveScrypt } from '../hash-cost.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { equal, type Format, integer, type ReadableHash } from './format.ts'

type ScryptCost = Extract<Cost, { family: 'scrypt' }>

const PHC = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$/
/** Firebase's, with the parameters of the project: salt separator (`ss`) and signer key (`sk`). */
const FIREBASE = /^\$fbscrypt\$v=1,n=(\d+),r=(\d+),p=(\d+)(?:,ss=([^,$]*))?,sk=([^,$]+)\$/
const DJANGO = /^scrypt\$(\d+)\$([^$]+)\$(\d+)\$(\d+)\$([^$]+)$/

/** scrypt as PHC strings, Django's, and Firebase's modified one. */
export const scrypt: Format = {
  cost(start) {
    const [, ln, r, p] = PHC.exec(start) ?? FIREBASE.exec(start) ?? []
    const logN = integer(ln)
    return ln && logN <= 31 ? costOf(2 ** logN, integer(r), integer(p)) : null
  },
  read(text) {
    const django = DJANGO.exec(text)
    if (django) return readDjango(django)
    const cost = scrypt.cost(text) as ScryptCost | null
    if (!cost) return null
    const firebase = FIREBASE.exec(text)
    const [salt = '', hash = '', ...rest] = text.replace(PHC, '').replace(FIREBASE, '').split('$')
    const [salted, hashed] = [decodeBase64(salt), decodeBase64(hash)]
    if (!salted || !hashed || rest.length > 0) return null
    return firebase
      ? readFirebase(text, cost, firebase, salted, hashed)
      : readable(text, cost, salted, hashed)
  },
}

/** RFC 7914 §2: N is a power of two. */
const costOf = (n: number, r: number, p: number): ScryptCost | null =>
  n >= 2 && r >= 1 && p >= 1 && Number.isInteger(Math.log2(n)) ? { family: 'scrypt', n, r, p } : null

/** Shorter ones would match by chance. */
const LEAST_HASH_BYTES = 16

function readable(text: string, cost: ScryptCost, salt: Buffer, hash: Buffer): ReadableHash | null {
  if (hash.length < LEAST_HASH_BYTES || hash.length > 512) return null
  return {
    cost,
    text,
    check: async (password) => equal(await deriveScrypt(password, salt, hash.length, cost), hash),
  }
}

/** Stored as a PHC string, because its parameters are on both sides of the salt, which is text. */
function readDjango([, n, salt = '', r, p, hash = '']: RegExpExecArray): ReadableHash | null {
  const cost = costOf(integer(n), integer(r), integer(p))
  const [salted, hashed] = [Buffer.from(salt), decodeBase64(hash)]
  if (!cost || !hashed) return null
  const text = `$scrypt$ln=${Math.log2(cost.n)},r=${cost.r},p=${cost.p}$${encodeBase64(salted)}$${encodeBase64(hashed)}`
  return readable(text, cost, salted, hashed)
}

/** The hash is the signer key, encrypted (AES-256-CTR, from zero) with the scrypt of the password. */
function readFirebase(
  text: string,
  cost: ScryptCost,
  [, , , , separator = '', signer = '']: RegExpExecArray,
  salt: Buffer,
  hash: Buffer,
): ReadableHash | null {
  const [separated, signerKey] = [decodeBase64(separator), decodeBase64(signer)]
  if (!separated || !signerKey || signerKey.length < LEAST_HASH_BYTES || hash.length !== signerKey.length)
    return null
  return {
    cost,
    text,
    async check(password) {
      const key = await deriveScrypt(password, Buffer.concat([salt, separated]), 32, cost)
      const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
      return equal(Buffer.concat([cipher.update(signerKey), cipher.final()]), hash)
    },
  }
}
