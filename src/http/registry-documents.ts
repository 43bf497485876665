import type { JSONWebKeySet } from 'jose'
import { Type } from 'typebox'
import {
  ADMIN_SCOPES,
  AUTH_METHODS,
  GRANT_TYPES,
  type RegisteredClient,
  type RegisteredResource,
  TOKEN_TYPES,
} from '../core/clients/clients.ts'
import { SIGNING_ALGORITHMS } from '../platform/signing-algorithms.ts'
import { oneOf, strict } from './schemas.ts'

const Moment = Type.String({ format: 'date-time' })
const Algorithm = Type.Unsafe<string | null>({
  type: ['string', 'null'],
  enum: [...SIGNING_ALGORITHMS, null],
})
const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** What a client may ask for at a resource. */
export const PermissionDocument = Type.Object(
  { resource: Type.String(), scopes: Type.Array(Type.String()) },
  { ...strict, title: 'Permission' },
)

/** A client as administrators and the command line see it. */
export const ClientDocument = Type.Object(
  {
    client_id: Type.String(),
    name: Type.String(),
    uri: TextOrNull,
    auth_method: Type.Unsafe<string>(oneOf(AUTH_METHODS)),
    grant_types: Type.Array(Type.Unsafe<string>(oneOf(GRANT_TYPES))),
    jwks: Type.Union([Type.Object({}, { additionalProperties: true }), Type.Null()], {
      description: 'The public keys of `private_key_jwt`',
    }),
    redirect_uris: Type.Array(Type.String()),
    post_logout_redirect_uris: Type.Array(Type.String()),
    backchannel_logout_uri: TextOrNull,
    first_party: Type.Boolean({ description: 'Whether users are not asked for their consent' }),
    requires_dpop: Type.Boolean({
      description: 'Whether its access tokens must be bound to a key (RFC 9449)',
    }),
    id_token_alg: Algorithm,
    late_window: Type.Integer({
      description: 'Seconds that a copy of a refresh token may be late, with a proof',
    }),
    admin_scopes: Type.Array(Type.Unsafe<string>(oneOf(ADMIN_SCOPES)), {
      description:
        'What it may do for itself at this API. Only the command line changes a client that has any',
    }),
    permissions: Type.Array(PermissionDocument),
    serves: Type.Array(Type.String(), { description: 'The resources whose tokens it may introspect' }),
    secrets: Type.Array(
      Type.Object({
        created_at: Moment,
        last_used_at: Type.Union([Moment, Type.Null()], { description: 'Known to ten seconds' }),
      }),
    ),
    created_at: Moment,
    updated_at: Moment,
    disabled_at: Type.Union([Moment, Type.Null()]),
  },
  { ...strict, title: 'Client' },
)

/** An API that accepts access tokens, as administrators and the command line see it. */
export const ResourceDocument = Type.Object(
  {
    identifier: Type.String({ description: 'A URI: the audience of its tokens' }),
    name: Type.String(),
    scopes: Type.Array(Type.String()),
    open_scopes: Type.Array(Type.String(), {
      description: 'Those that clients which nobody registered may ask for',
    }),
    app_scopes: Type.Array(Type.String(), { description: 'Those that users of your own app have' }),
    token_ttl: Type.Integer({ description: 'Seconds that an access token lives' }),
    typ: Type.Unsafe<string>(oneOf(TOKEN_TYPES)),
    alg: Algorithm,
    server: Type.Union([Type.String(), Type.Null()], {
      description: 'The client that may introspect its tokens',
    }),
    created_at: Moment,
  },
  { ...strict, title: 'Resource' },
)

export const clientDocument = (client: RegisteredClient) => ({
  client_id: client.id,
  name: client.name,
  uri: client.uri,
  auth_method: client.authMethod,
  grant_types: client.grantTypes,
  jwks: client.jwks as (JSONWebKeySet & object) | null,
  redirect_uris: client.redirectUris,
  post_logout_redirect_uris: client.postLogoutRedirectUris,
  backchannel_logout_uri: client.backchannelLogoutUri,
  first_party: client.isFirstParty,
  requires_dpop: client.requiresDpop,
  id_token_alg: client.idTokenAlg,
  late_window: client.lateWindow,
  admin_scopes: client.adminScopes,
  permissions: client.resources.map(({ resourceIdentifier, scopes }) => ({
    resource: resourceIdentifier,
    scopes,
  })),
  serves: client.serves.map(({ identifier }) => identifier),
  secrets: client.secrets.map(({ createdAt, lastUsedAt }) => ({
    created_at: createdAt.toISOString(),
    last_used_at: lastUsedAt?.toISOString() ?? null,
  })),
  created_at: client.createdAt.toISOString(),
  updated_at: client.updatedAt.toISOString(),
  disabled_at: client.disabledAt?.toISOString() ?? null,
})

export const resourceDocument = (resource: RegisteredResource) => ({
  identifier: resource.identifier,
  name: resource.name,
  scopes: resource.scopes,
  open_scopes: resource.openScopes,
  app_scopes: resource.appScopes,
  token_ttl: resource.tokenTtl,
  typ: resource.typ,
  alg: resource.alg,
  server: resource.serverId,
  created_at: resource.createdAt.toISOString(),
})
