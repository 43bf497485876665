import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { isoCBOR } from '@simplewebauthn/server/helpers'

type Cbor = Parameters<typeof isoCBOR.encode>[0]
type CoseKey = Map<number, Cbor>

/** The values that a browser and an authenticator send; a test can forge each. */
export interface Forgery {
  origin?: string
  rpId?: string
  challenge?: string
  type?: string
  /** Additional members of the client data. */
  client?: Record<string, unknown>
  /** Bits: 1 present, 4 verified, 8 may be backed up, 16 is backed up. */
  flags?: number
  counter?: number
  /** None is sent if undefined. */
  userHandle?: string | null | undefined
  /** Signs other data than is sent. */
  tamper?: boolean
  coseKey?: CoseKey
  fmt?: string
  attStmt?: Map<string, Cbor>
  credentialId?: Buffer
  /** Appended to the authenticator data. */
  trailing?: Buffer
  transports?: string[] | null
}

/** A passkey that is synced between devices: present, verified, may be backed up, is backed up. */
export const SYNCED: Forgery = { flags: 0b11101 }
/** A key that speaks only U2F (CTAP1): it verifies nobody, and stores no user handle. */
export const U2F: Forgery = { flags: 0b001, userHandle: null, fmt: 'fido-u2f', transports: ['usb'] }

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest()
const PRESENT_AND_VERIFIED = 0b101
const ATTESTED = 0b1000000
// The PUBLIC_URL of the test server.
const ORIGIN = 'http://localhost:8080'

/** A software authenticator with one passkey, which `create` registers and `get` uses. */
export function createAuthenticator(alg: 'ES256' | 'EdDSA' | 'RS256' = 'ES256', defaults: Forgery = {}) {
  const id = randomBytes(16)
  const { privateKey, coseKey } = makeKey(alg)
  let counter = 0
  let userHandle: string | undefined

  const clientData = (type: string, challenge: string, forged: Forgery) =>
    Buffer.from(
      JSON.stringify({
        type: forged.type ?? type,
        challenge: forged.challenge ?? challenge,
        origin: forged.origin ?? ORIGIN,
        crossOrigin: false,
        ...forged.client,
      }),
    )
  function authenticatorData(rpId: string | undefined, flags: number, forged: Forgery, attested?: Buffer) {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(forged.counter ?? counter)
    return Buffer.concat([
      sha256(forged.rpId ?? rpId ?? ''),
      Buffer.from([flags]),
      count,
      attested ?? Buffer.alloc(0),
      forged.trailing ?? Buffer.alloc(0),
    ])
  }

  return {
    id: b64(id),
    /** `navigator.credentials.create`, as JSON. */
    create(options: PublicKeyCredentialCreationOptionsJSON, forgery: Forgery = {}): RegistrationResponseJSON {
      const forged = { ...defaults, ...forgery }
      userHandle = options.user.id
      const credentialId = forged.credentialId ?? id
      const length = Buffer.alloc(2)
      length.writeUInt16BE(credentialId.length)
      const key = Buffer.from(isoCBOR.encode(forged.coseKey ?? coseKey))
      const attested = Buffer.concat([Buffer.alloc(16), length, credentialId, key])
      const flags = (forged.flags ?? PRESENT_AND_VERIFIED) | ATTESTED
      const attestation = new Map<string, Cbor>([
        ['fmt', forged.fmt ?? 'none'],
        ['attStmt', forged.attStmt ?? new Map()],
        ['authData', new Uint8Array(authenticatorData(options.rp.id, flags, forged, attested))],
      ])
      return {
        id: b64(credentialId),
        rawId: b64(credentialId),
        type: 'public-key',
        authenticatorAttachment: 'platform',
        clientExtensionResults: { credProps: { rk: true } },
        response: {
          clientDataJSON: b64(clientData('webauthn.create', options.challenge, forged)),
          attestationObject: b64(isoCBOR.encode(attestation)),
          transports: (forged.transports === undefined ? ['internal', 'hybrid'] : forged.transports) as [
            'internal',
          ],
        },
      }
    },

    /** `navigator.credentials.get`, as JSON; the counter rises by one, unless the authenticator has none. */
    get(options: PublicKeyCredentialRequestOptionsJSON, forgery: Forgery = {}): AuthenticationResponseJSON {
      const forged = { ...defaults, ...forgery }
      counter += 1
      const client = clientData('webauthn.get', options.challenge, forged)
      const data = authenticatorData(options.rpId, forged.flags ?? PRESENT_AND_VERIFIED, forged)
      const signed = Buffer.concat([data, sha256(client), Buffer.alloc(forged.tamper ? 1 : 0)])
      const handle = 'userHandle' in forged ? forged.userHandle : userHandle
      return {
        id: b64(forged.credentialId ?? id),
        rawId: b64(forged.credentialId ?? id),
        type: 'public-key',
        authenticatorAttachment: 'platform',
        clientExtensionResults: {},
        response: {
          clientDataJSON: b64(client),
          authenticatorData: b64(data),
          signature: b64(sign(alg === 'EdDSA' ? null : 'sha256', signed, privateKey)),
          // What keys without handles send is wider than the type.
          ...(handle === undefined ? {} : { userHandle: handle as string }),
        },
      }
    },
  }
}
export type Authenticator = ReturnType<typeof createAuthenticator>

/** A key pair, its public half as a COSE key (RFC 9053 §7, RFC 8230 §4). */
export function makeKey(
  alg: 'ES256' | 'EdDSA' | 'RS256',
  bits = 2048,
): { privateKey: KeyObject; coseKey: CoseKey } {
  const bytes = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? '', 'base64url'))
  if (alg === 'ES256') {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { x, y } = publicKey.export({ format: 'jwk' })
    return {
      privateKey,
      coseKey: new Map<number, Cbor>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, bytes(x)],
        [-3, bytes(y)],
      ]),
    }
  }
  if (alg === 'EdDSA') {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const { x } = publicKey.export({ format: 'jwk' })
    return {
      privateKey,
      coseKey: new Map<number, Cbor>([
        [1, 1],
        [3, -8],
        [-1, 6],
        [-2, bytes(x)],
      ]),
    }
  }
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits })
  const { n, e } = publicKey.export({ format: 'jwk' })
  return {
    privateKey,
    coseKey: new Map<number, Cbor>([
      [1, 3],
      [3, -257],
      [-1, bytes(n)],
      [-2, bytes(e)],
    ]),
  }
}
