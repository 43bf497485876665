import { sign as signBytes } from 'node:crypto'
import type { SigningKey } from './key-ring.ts'

const headers = new WeakMap<SigningKey, Map<string, string>>()

/** Signs claims as a JWT. jose would sign on another thread, which costs more than the signature. */
export function serialize(claims: object, key: SigningKey, typ: string): string {
  // Compact serialisation (RFC 7515 §7.1).
  const input = `${headerOf(key, typ)}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const digest = key.alg === 'EdDSA' ? null : 'sha256'
  const signature = signBytes(digest, Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

function headerOf(key: SigningKey, typ: string): string {
  const known = headers.get(key) ?? new Map<string, string>()
  headers.set(key, known)
  let header = known.get(typ)
  if (!header) {
    header = Buffer.from(JSON.stringify({ alg: key.alg, typ, kid: key.kid })).toString('base64url')
    known.set(typ, header)
  }
  return header
}
