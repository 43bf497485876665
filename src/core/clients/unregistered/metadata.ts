import type { JSONWebKeySet } from 'jose'
import { spellName } from '../../../platform/name.ts'
import type { Client } from '../client.ts'
import { clientFaults, LONGEST_LATE_WINDOW } from '../client-faults.ts'

/** What a client that nobody registered says about itself. */
export interface Description
  extends Pick<Client, 'name' | 'uri' | 'authMethod' | 'redirectUris' | 'jwks' | 'requiresDpop'> {
  grantTypes: readonly ('authorization_code' | 'refresh_token')[]
}

/** A description as it is read: its keys may be elsewhere. */
export interface Metadata extends Omit<Description, 'name' | 'uri'> {
  /** Null if it has none. */
  name: string | null
  jwksUri: string | null
}

/** The client's metadata cannot be used (RFC 7591 §3.2.2). The message says what would be right. */
export class UnusableMetadata extends Error {
  readonly code: 'invalid_redirect_uri' | 'invalid_client_metadata'

  constructor(code: UnusableMetadata['code'], detail: string) {
    super(detail)
    this.code = code
  }
}

const AUTH_METHODS = ['none', 'private_key_jwt'] as const
const GRANT_TYPES = ['authorization_code', 'refresh_token'] as const

/**
 * Reads the metadata of a client (RFC 7591 §2) that acts for users and has no secret: it is public, or has keys. Members
 * that are not known here are ignored. @throws {UnusableMetadata}
 */
export function readMetadata(document: unknown): Metadata {
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw invalid('the metadata must be a JSON object')
  const read = document as Record<string, unknown>
  if (read.client_secret !== undefined || read.client_secret_expires_at !== undefined)
    throw invalid('there are no secrets: client_secret and client_secret_expires_at must be left out')
  const redirectUris = texts(read, 'redirect_uris')
  if (!redirectUris || redirectUris.length === 0)
    throw new UnusableMetadata('invalid_redirect_uri', 'redirect_uris must have at least one')
  const authMethod = AUTH_METHODS.find((each) => each === (read.token_endpoint_auth_method ?? 'none'))
  if (!authMethod) throw invalid(`token_endpoint_auth_method must be one of ${AUTH_METHODS.join(', ')}`)
  // RFC 7591 §2: a server may leave out what it does not offer.
  const asked = texts(read, 'grant_types') ?? ['authorization_code']
  const grantTypes = GRANT_TYPES.filter((each) => asked.includes(each))
  if (!grantTypes.includes('authorization_code')) throw invalid('grant_types must have authorization_code')
  if (!(texts(read, 'response_types') ?? ['code']).includes('code'))
    throw invalid('response_types must have code')
  // A public client may have keys for other uses.
  const { jwks, jwks_uri: jwksUri } = authMethod === 'none' ? {} : read
  if (jwks !== undefined && jwksUri !== undefined) throw invalid('jwks and jwks_uri exclude each other')
  const name = text(read, 'client_name')
  return {
    name: name === undefined ? null : spellName(name),
    authMethod,
    grantTypes,
    redirectUris: [...new Set(redirectUris)],
    jwks: (jwks as JSONWebKeySet | undefined) ?? null,
    jwksUri: jwksUri === undefined ? null : (text(read, 'jwks_uri') as string),
    requiresDpop: read.dpop_bound_access_tokens === true,
  }
}

/** @throws {UnusableMetadata} with everything that is wrong with the client. */
export function requireUsable(description: Description): void {
  const faults = clientFaults({
    ...description,
    jwks: description.jwks ?? undefined,
    lateWindow: LONGEST_LATE_WINDOW,
  })
  const [first] = faults
  if (!first) return
  const isOfUris = faults.every(({ pointer }) => pointer.startsWith('/redirect_uris'))
  const details = faults.map(({ pointer, detail }) => `${NAMES[pointer] ?? pointer.slice(1)} ${detail}`)
  throw new UnusableMetadata(
    isOfUris ? 'invalid_redirect_uri' : 'invalid_client_metadata',
    details.slice(0, MOST_DETAILS).join('; '),
  )
}

const NAMES: Readonly<Record<string, string>> = { '/name': 'client_name', '/uri': 'client_uri' }
const MOST_DETAILS = 3

const invalid = (detail: string) => new UnusableMetadata('invalid_client_metadata', detail)

function text(read: Record<string, unknown>, member: string): string | undefined {
  const value = read[member]
  if (value !== undefined && typeof value !== 'string') throw invalid(`${member} must be a string`)
  return value
}

function texts(read: Record<string, unknown>, member: string): readonly string[] | undefined {
  const value = read[member]
  if (value === undefined) return undefined
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string'))
    throw invalid(`${member} must be a list of strings`)
  return value
}
