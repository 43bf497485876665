import { createHash } from 'node:crypto'
import { decodeClientDataJSON, parseAuthenticatorData, verifySignature } from '@simplewebauthn/server/helpers'
import type { PasskeyFault } from '../../reasons/reasons.ts'
import { type Bytes, bytesOf } from './base64url.ts'
import {
  type Assertion,
  isOwnHandle,
  isOwnPage,
  type KnownCredential,
  type RelyingParty,
} from './ceremonies.ts'

/**
 * Why an answer that was refused is not valid, for the audit. The signature is checked first: what it covers is then
 * what the authenticator has seen, and not what anybody who knows the credential's id has made up.
 */
export async function findFault(
  { rpId, origins }: RelyingParty,
  { response }: Assertion,
  challenge: string | null,
  known: KnownCredential,
  requireUserVerification: boolean,
): Promise<PasskeyFault> {
  try {
    const [client, data, signature] = [
      bytesOf(response.clientDataJSON),
      bytesOf(response.authenticatorData),
      bytesOf(response.signature),
    ]
    if (!client || !data || !signature) return 'malformed'
    const said = decodeClientDataJSON(response.clientDataJSON)
    const { flags, rpIdHash } = parseAuthenticatorData(data)
    if (!(await isSigned(known.publicKey, data, client, signature))) return 'wrong_signature'
    if (challenge === null || said.challenge !== challenge) return 'wrong_challenge'
    if (!origins.includes(said.origin) || !isOwnPage(response.clientDataJSON)) return 'wrong_origin'
    if (!sha256(rpId).equals(rpIdHash)) return 'wrong_domain'
    if (!flags.up) return 'user_not_present'
    if (!isOwnHandle(known, response.userHandle)) return 'wrong_user_handle'
    return requireUserVerification && !flags.uv ? 'user_not_verified' : 'malformed'
  } catch {
    // The library throws plain errors for input that it cannot read.
    return 'malformed'
  }
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest()

async function isSigned(publicKey: Bytes, data: Bytes, client: Bytes, signature: Bytes): Promise<boolean> {
  const signed = new Uint8Array(Buffer.concat([data, sha256(client)]))
  try {
    return await verifySignature({ signature, data: signed, credentialPublicKey: publicKey })
  } catch {
    return false
  }
}
