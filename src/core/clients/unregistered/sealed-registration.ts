import type { JSONWebKeySet } from 'jose'
import { parseUrl } from '../../../platform/parse-url.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import { type Description, readMetadata, requireUsable, UnusableMetadata } from './metadata.ts'

/** A client that has registered itself (RFC 7591). */
export interface Registration {
  id: string
  /** Seconds since the epoch. */
  issuedAt: number
  /** Seconds since the epoch: then the client registers again. */
  expiresAt: number
  description: Description
}

/** Clients whose id is what they said about themselves, sealed: nothing is stored. */
export interface SealedRegistrations {
  /** @throws {UnusableMetadata} */
  register(document: unknown): Registration
  /** Undefined for what is no id of this kind, or has expired. */
  open(id: string): Description | undefined
}

const PREFIX = 'dynamic_'
const LIFETIME_SECONDS = 90 * 86_400
/** Many systems keep ids in columns and headers of limited size. */
const LONGEST_ID = 1_500

/** Whether a client id is meant as one of these. */
export const isSealed = (id: string): boolean => id.startsWith(PREFIX)

/** As short as it can be. */
interface Sealed {
  n: string
  r: readonly string[]
  g: Description['grantTypes']
  k?: JSONWebKeySet
  d?: true
  /** Seconds since the epoch. */
  e: number
}

export function createSealedRegistrations({
  secrets,
  clock,
}: UsesPlatform<'secrets' | 'clock'>): SealedRegistrations {
  return {
    register(document) {
      const { jwksUri, name, ...metadata } = readMetadata(document)
      if (jwksUri !== null)
        throw new UnusableMetadata('invalid_client_metadata', 'jwks_uri is not supported here: send jwks')
      const description: Description = { ...metadata, name: name ?? nameOf(metadata.redirectUris), uri: null }
      requireUsable(description)
      const issuedAt = Math.floor(clock.now() / 1000)
      const expiresAt = issuedAt + LIFETIME_SECONDS
      const sealed: Sealed = {
        n: description.name,
        r: description.redirectUris,
        g: description.grantTypes,
        ...(description.jwks ? { k: description.jwks } : {}),
        ...(description.requiresDpop ? { d: true } : {}),
        e: expiresAt,
      }
      const bytes = secrets.seal('client-registration', '', JSON.stringify(sealed))
      const id = PREFIX + Buffer.from(bytes).toString('base64url')
      if (id.length > LONGEST_ID)
        throw new UnusableMetadata(
          'invalid_client_metadata',
          'the metadata is too large: name fewer redirect URIs, or fewer and smaller keys',
        )
      return { id, issuedAt, expiresAt, description }
    },
    open(id) {
      if (id.length > LONGEST_ID) return undefined
      const text = id.slice(PREFIX.length)
      const bytes = Buffer.from(text, 'base64url')
      // Node's decoder skips unknown characters: a client has one id, so that it can be blocked.
      if (bytes.toString('base64url') !== text) return undefined
      try {
        const { n, r, g, k, d, e }: Sealed = JSON.parse(secrets.open('client-registration', '', bytes))
        if (e <= clock.now() / 1000) return undefined
        return {
          name: n,
          uri: null,
          authMethod: k ? 'private_key_jwt' : 'none',
          grantTypes: g,
          redirectUris: r,
          jwks: k ?? null,
          requiresDpop: d === true,
        }
      } catch {
        return undefined
      }
    },
  }
}

/** A client without a name has that of where it leads. */
function nameOf([uri = '']: readonly string[]): string {
  const { host, protocol } = parseUrl(uri) ?? { host: '', protocol: uri }
  return (host || protocol).slice(0, 100)
}
