import type { Environment, Reader } from './environment.ts'

/** Which clients that nobody registered are accepted. */
export interface UnregisteredClientSettings {
  /** Whether clients may describe themselves by metadata documents; undefined: once some resource is open to them. */
  readonly metadataDocuments: boolean | undefined
  /** Whether clients may register themselves (RFC 7591). */
  readonly dynamicRegistration: boolean
  /** The scopes of OpenID Connect that they may ask for. */
  readonly openidScopes: readonly OpenIdScope[]
}

const OPENID_SCOPES = ['openid', 'profile', 'email', 'offline_access'] as const
type OpenIdScope = (typeof OPENID_SCOPES)[number]

export function readUnregisteredClients(env: Environment, read: Reader): UnregisteredClientSettings {
  return {
    metadataDocuments: env.CLIENT_METADATA_DOCUMENTS
      ? read.flag('CLIENT_METADATA_DOCUMENTS', false)
      : undefined,
    dynamicRegistration: read.flag('DYNAMIC_REGISTRATION', false),
    openidScopes: readScopes(env, read),
  }
}

function readScopes(env: Environment, read: Reader): readonly OpenIdScope[] {
  const named = env.OPEN_OPENID_SCOPES ? read.list('OPEN_OPENID_SCOPES') : ['openid', 'offline_access']
  if (!named.every((scope) => (OPENID_SCOPES as readonly string[]).includes(scope)))
    read.fault(`OPEN_OPENID_SCOPES must be a list of ${OPENID_SCOPES.join(', ')}`)
  return OPENID_SCOPES.filter((scope) => named.includes(scope))
}
