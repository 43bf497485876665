import type { JSONWebKeySet } from 'jose'
import type { Queryable } from '../../platform/database.ts'

/** How a client proves who it is (RFC 7591 §2, but for the two ways to send a secret, which are one here). */
export const AUTH_METHODS = ['client_secret', 'private_key_jwt', 'none'] as const
export type AuthMethod = (typeof AUTH_METHODS)[number]

/** The grants of the token endpoint that a client can be allowed. */
export const GRANT_TYPES = ['client_credentials'] as const
export type GrantType = (typeof GRANT_TYPES)[number]

/** The `typ` of access tokens: that of RFC 9068, or what libraries without it expect. */
export const TOKEN_TYPES = ['at+jwt', 'JWT'] as const
export type TokenType = (typeof TOKEN_TYPES)[number]

/** An API that accepts our access tokens. */
export interface Resource {
  /** A URI (RFC 8707 §2): the audience of its tokens. */
  identifier: string
  scopes: readonly string[]
  /** Seconds that an access token lives. */
  tokenTtl: number
  typ: TokenType
}

export interface Client {
  id: string
  name: string
  authMethod: AuthMethod
  grantTypes: readonly GrantType[]
  /** The public keys of `private_key_jwt`. */
  jwks: JSONWebKeySet | null
  secrets: readonly { id: string; hash: Uint8Array }[]
  /** What it may ask for: the resources, and the scopes at each. */
  permissions: readonly { resource: Resource; scopes: readonly string[] }[]
  /** The resources whose tokens it may introspect, because it is their API. */
  serves: readonly string[]
}

const INCLUDED = {
  secrets: { select: { id: true, hash: true } },
  resources: { include: { resource: true }, orderBy: { resourceIdentifier: 'asc' } },
  serves: { select: { identifier: true } },
} as const

/** RFC 6749 §A.1. Postgres cannot even look for a text with other characters. */
const CLIENT_ID = /^[\x20-\x7e]+$/

/** Undefined for a client that is unknown or disabled. */
export async function readClient(db: Queryable, id: string): Promise<Client | undefined> {
  if (!CLIENT_ID.test(id)) return undefined
  const row = await db.client.findUnique({ where: { id, disabledAt: null }, include: INCLUDED })
  if (!row) return undefined
  return {
    id: row.id,
    name: row.name,
    authMethod: row.authMethod as AuthMethod,
    grantTypes: row.grantTypes as GrantType[],
    jwks: row.jwks as JSONWebKeySet | null,
    secrets: row.secrets,
    serves: row.serves.map(({ identifier }) => identifier),
    permissions: row.resources.map(({ scopes, resource: { identifier, tokenTtl, typ, ...resource } }) => ({
      resource: { identifier, scopes: resource.scopes, tokenTtl, typ: typ as TokenType },
      // A scope that the resource no longer has is no longer allowed.
      scopes: scopes.filter((scope) => resource.scopes.includes(scope)),
    })),
  }
}
