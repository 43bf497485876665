import {
  type AuthenticationResponseJSON,
  type GenerateRegistrationOptionsOpts,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server'
import { decodeClientDataJSON, isoCBOR } from '@simplewebauthn/server/helpers'
import { type Bytes, bytesOf } from './base64url.ts'
import { ALGORITHMS, isUsableKey } from './public-key.ts'

/** The domain that passkeys belong to, and the origins that may use them. */
export interface RelyingParty {
  rpId: string
  origins: readonly string[]
}

const TRANSPORTS = ['ble', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb']

/** The options of `navigator.credentials.get()`. */
export { generateAuthenticationOptions as createAssertionOptions } from '@simplewebauthn/server'

/** The options of `navigator.credentials.create()`. */
export const createRegistrationOptions = (options: GenerateRegistrationOptionsOpts) =>
  generateRegistrationOptions({ ...options, supportedAlgorithmIDs: [...ALGORITHMS] })

/** Checks a new credential and returns what to store (WebAuthn §7.1); null when it does not match the challenge. */
export function checkRegistration(
  { rpId, origins }: RelyingParty,
  credential: RegistrationResponseJSON,
  challenge: string,
): Promise<{
  credentialId: Bytes
  publicKey: Bytes
  counter: number
  transports: string[]
  backupEligible: boolean
  backedUp: boolean
} | null> {
  return nullUnlessValid(async () => {
    const { clientDataJSON, transports } = credential.response
    const told: readonly string[] = Array.isArray(transports) ? transports : []
    const credentialId = bytesOf(credential.id)
    const attestationObject = bytesOf(credential.response.attestationObject)
    if (!isOwnPage(clientDataJSON) || !attestationObject || !credentialId) return null
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: {
        ...credential,
        response: { clientDataJSON, attestationObject: withoutAttestation(attestationObject) },
      },
      expectedChallenge: challenge,
      expectedOrigin: [...origins],
      expectedRPID: rpId,
      requireUserVerification: false,
      supportedAlgorithmIDs: [...ALGORITHMS],
    })
    if (!verified || registrationInfo.credential.id !== credential.id) return null
    const { publicKey, counter } = registrationInfo.credential
    if (!isUsableKey(publicKey)) return null
    return {
      credentialId,
      publicKey: new Uint8Array(publicKey),
      counter,
      transports: TRANSPORTS.filter((each) => told.includes(each)),
      backupEligible: registrationInfo.credentialDeviceType === 'multiDevice',
      backedUp: registrationInfo.credentialBackedUp,
    }
  })
}

type Response = AuthenticationResponseJSON['response']
/** The answer of a passkey. Keys without user handles make some browsers send null, which the library's type lacks. */
export type Assertion = Omit<AuthenticationResponseJSON, 'response'> & {
  response: Omit<Response, 'userHandle'> & { userHandle?: string | null }
}

/** What is known about a credential that answers. */
export interface KnownCredential {
  publicKey: Bytes
  userHandle: Bytes
}

/**
 * Checks the use of a credential and returns what it says about the credential (WebAuthn §7.2); null when it is not
 * valid. The caller judges the counter.
 */
export function checkAssertion(
  { rpId, origins }: RelyingParty,
  credential: Assertion,
  challenge: string,
  known: KnownCredential,
  requireUserVerification: boolean,
): Promise<{ counter: number; backupEligible: boolean; backedUp: boolean } | null> {
  return nullUnlessValid(async () => {
    const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response
    if (!isOwnPage(clientDataJSON) || !bytesOf(authenticatorData) || !bytesOf(signature)) return null
    if (!isOwnHandle(known, userHandle)) return null
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: { ...credential, response: { clientDataJSON, authenticatorData, signature } },
      expectedChallenge: challenge,
      expectedOrigin: [...origins],
      expectedRPID: rpId,
      // With zero the library accepts every counter: it would refuse those of synced credentials too.
      credential: { id: credential.id, publicKey: known.publicKey, counter: 0 },
      requireUserVerification,
    })
    if (!verified) return null
    return {
      counter: authenticationInfo.newCounter,
      backupEligible: authenticationInfo.credentialDeviceType === 'multiDevice',
      backedUp: authenticationInfo.credentialBackedUp,
    }
  })
}

/** Turns every error into null: the library throws plain errors for input that it cannot read. */
async function nullUnlessValid<T>(check: () => Promise<T | null>): Promise<T | null> {
  try {
    return await check()
  } catch {
    return null
  }
}

/** Without a handle the credential's id is enough. Safari sends an empty one for keys that store none. */
export function isOwnHandle(known: KnownCredential, userHandle: string | null | undefined): boolean {
  if (userHandle === undefined || userHandle === null || userHandle === '') return true
  return userHandle === Buffer.from(known.userHandle).toString('base64url')
}

/** False for invalid client data, and when another origin has embedded our page in a frame. */
export function isOwnPage(clientDataJSON: string): boolean {
  return bytesOf(clientDataJSON) !== null && !decodeClientDataJSON(clientDataJSON).crossOrigin
}

// No attestation was requested, so it is removed: its certificates could make the server fetch foreign URLs.
function withoutAttestation(attestationObject: Bytes): string {
  const authData = isoCBOR.decodeFirst<Map<string, Uint8Array>>(attestationObject).get('authData')
  const none = isoCBOR.encode(
    new Map<string, Parameters<typeof isoCBOR.encode>[0]>([
      ['fmt', 'none'],
      ['attStmt', new Map()],
      ['authData', authData],
    ]),
  )
  return Buffer.from(none).toString('base64url')
}
