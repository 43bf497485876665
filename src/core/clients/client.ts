import type { JSONWebKeySet } from 'jose'
import type { Queryable } from '../../platform/database.ts'
import { Prisma, type Resource as StoredResource } from '../../platform/generated/client.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'

/** How a client proves who it is (RFC 7591 §2, but for the two ways to send a secret, which are one here). */
export const AUTH_METHODS = ['client_secret', 'private_key_jwt', 'none'] as const
export type AuthMethod = (typeof AUTH_METHODS)[number]

/** The device grant (RFC 8628 §3.4). */
export const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'
/** The grants of the token endpoint that a client can be allowed. */
export const GRANT_TYPES = ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_CODE] as const
export type GrantType = (typeof GRANT_TYPES)[number]

/** The `typ` of access tokens: that of RFC 9068, or what libraries without it expect. */
export const TOKEN_TYPES = ['at+jwt', 'JWT'] as const
export type TokenType = (typeof TOKEN_TYPES)[number]

/** What a client may do for itself at this server's own API. Only the command line gives these. */
export const ADMIN_SCOPES = ['admin:users:read', 'admin:users:write'] as const
export type AdminScope = (typeof ADMIN_SCOPES)[number]

/** The scope that gives access to the user's own account. No third-party client gets it. */
export const ACCOUNT_SCOPE = 'account'

/** The scopes of OpenID Connect, which no resource can have (OpenID Connect Core 1.0 §5.4, §11). */
export const OPENID_SCOPES = ['openid', 'profile', 'email', 'offline_access'] as const
export type OpenIdScope = (typeof OPENID_SCOPES)[number]

/** An API that accepts our access tokens. */
export interface Resource {
  /** A URI (RFC 8707 §2): the audience of its tokens. */
  identifier: string
  scopes: readonly string[]
  /** Seconds that an access token lives. */
  tokenTtl: number
  typ: TokenType
  /** The algorithm of its access tokens; null for the server's. */
  alg: SigningAlgorithm | null
}

/** This server's own API, as a resource of clients with administrative scopes. `ttl` in seconds. */
export const ownApi = ({ audience, ttl }: { audience: string; ttl: number }): Resource => ({
  identifier: audience,
  scopes: ADMIN_SCOPES,
  tokenTtl: ttl,
  typ: 'at+jwt',
  alg: null,
})

/** The userinfo endpoint, as the resource of tokens for OpenID Connect alone. */
export const userinfoOf = (issuer: string): Resource => ({
  identifier: `${issuer}/oauth/userinfo`,
  scopes: [],
  tokenTtl: 300,
  typ: 'at+jwt',
  alg: null,
})

export interface Client {
  id: string
  name: string
  /** Its home page, as users see it. */
  uri: string | null
  authMethod: AuthMethod
  grantTypes: readonly GrantType[]
  /** The public keys of `private_key_jwt`. */
  jwks: JSONWebKeySet | null
  secrets: readonly { id: string; hash: Uint8Array }[]
  /** What it may ask for: the resources, and the scopes at each. */
  permissions: readonly { resource: Resource; scopes: readonly string[] }[]
  /** The resources whose tokens it may introspect, because it is their API. */
  serves: readonly string[]
  /** Compared by `matchesRedirectUri`. */
  redirectUris: readonly string[]
  /** Where users may be led after signing out (OpenID Connect RP-Initiated Logout 1.0 §3.1). */
  postLogoutRedirectUris: readonly string[]
  /** Where logout tokens go (OpenID Connect Back-Channel Logout 1.0 §2.2). */
  backchannelLogoutUri: string | null
  /** The scopes of OpenID Connect that it may ask for. */
  openidScopes: readonly OpenIdScope[]
  /** By the operator. Every other one describes itself, and nobody has checked what it says. */
  isRegistered: boolean
  /** Of the operator: users are not asked for their consent. */
  isFirstParty: boolean
  /** Whether its access tokens must be bound to a key (RFC 9449 §5.2). */
  requiresDpop: boolean
  /** The algorithm of its id_tokens; null for the server's. */
  idTokenAlg: SigningAlgorithm | null
  /** Seconds that a copy of a refresh token may be late, with a proof; 0 for a client that keeps its tokens well. */
  lateWindow: number
  adminScopes: readonly AdminScope[]
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
  const { resources, serves, createdAt, updatedAt, disabledAt, ...client } = row
  return {
    ...client,
    isRegistered: true,
    openidScopes: OPENID_SCOPES,
    authMethod: row.authMethod as AuthMethod,
    grantTypes: row.grantTypes as GrantType[],
    jwks: row.jwks as JSONWebKeySet | null,
    idTokenAlg: row.idTokenAlg as SigningAlgorithm | null,
    adminScopes: row.adminScopes as AdminScope[],
    serves: serves.map(({ identifier }) => identifier),
    permissions: resources.map(({ scopes, resource }) => ({
      resource: asResource(resource),
      // A scope that the resource no longer has is no longer allowed.
      scopes: scopes.filter((scope) => resource.scopes.includes(scope)),
    })),
  }
}

/** What clients that nobody registered may ask for. */
export async function readOpenPermissions(db: Queryable): Promise<Client['permissions']> {
  const rows = await db.resource.findMany({
    where: { openScopes: { isEmpty: false } },
    orderBy: { identifier: 'asc' },
  })
  return rows.map((row) => ({
    resource: asResource(row),
    scopes: row.openScopes.filter((scope) => row.scopes.includes(scope)),
  }))
}

/** SQL: whether a client, by its id, is told when a session of its ends. */
export const wantsLogoutTokens = (id: Prisma.Sql) =>
  Prisma.sql`EXISTS (SELECT FROM clients WHERE clients.id = ${id} AND backchannel_logout_uri IS NOT NULL)`

const asResource = ({ identifier, scopes, tokenTtl, typ, alg }: StoredResource): Resource => ({
  identifier,
  scopes,
  tokenTtl,
  typ: typ as TokenType,
  alg: alg as SigningAlgorithm | null,
})

/** The algorithms that resources and the id_tokens of clients ask for. */
export async function askedAlgorithms(db: Queryable): Promise<SigningAlgorithm[]> {
  const rows = await db.$queryRaw<{ alg: SigningAlgorithm }[]>`
    SELECT alg FROM resources WHERE alg IS NOT NULL
    UNION SELECT id_token_alg FROM clients WHERE id_token_alg IS NOT NULL ORDER BY alg`
  return rows.map(({ alg }) => alg)
}
