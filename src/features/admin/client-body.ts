import type { JSONWebKeySet } from 'jose'
import { type Static, Type } from 'typebox'
import { AUTH_METHODS, type ClientChanges, GRANT_TYPES } from '../../core/clients/clients.ts'
import { PermissionDocument } from '../../http/registry-documents.ts'
import { oneOf, orNull, strict } from '../../http/schemas.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'

const Uris = Type.Array(Type.String(), { examples: [['https://app.example.com/callback']] })
const Uri = orNull(Type.String({ examples: ['https://app.example.com/'] }))

const changeable = {
  name: Type.Optional(Type.String({ examples: ['Example app'] })),
  grant_types: Type.Optional(Type.Array(oneOf(GRANT_TYPES))),
  jwks: Type.Optional(Type.Object({}, { additionalProperties: true })),
  uri: Type.Optional(Uri),
  redirect_uris: Type.Optional(Uris),
  post_logout_redirect_uris: Type.Optional(Uris),
  backchannel_logout_uri: Type.Optional(Uri),
  first_party: Type.Optional(Type.Boolean()),
  requires_dpop: Type.Optional(Type.Boolean()),
  id_token_alg: Type.Optional(
    Type.Unsafe<(typeof SIGNING_ALGORITHMS)[number] | null>({
      type: ['string', 'null'],
      enum: [...SIGNING_ALGORITHMS, null],
    }),
  ),
  late_window: Type.Optional(Type.Integer({ description: 'Seconds' })),
  permissions: Type.Optional(Type.Array(PermissionDocument, { maxItems: 100 })),
}
/** A client to register. Its values are checked with all others by `clientFaults`. */
export const NewClient = Type.Object(
  {
    ...changeable,
    name: Type.String({ examples: ['Example app'] }),
    auth_method: oneOf(AUTH_METHODS),
    grant_types: Type.Array(oneOf(GRANT_TYPES)),
  },
  strict,
)
export const Changes = Type.Object(changeable, { ...strict, minProperties: 1 })

/** What a body gives; the rest stays. */
export function changesOf(body: Static<typeof Changes>) {
  const { permissions, jwks } = body
  const changes = {
    name: body.name,
    grantTypes: body.grant_types,
    jwks: jwks as JSONWebKeySet | undefined,
    uri: body.uri,
    redirectUris: body.redirect_uris,
    postLogoutRedirectUris: body.post_logout_redirect_uris,
    backchannelLogoutUri: body.backchannel_logout_uri,
    isFirstParty: body.first_party,
    requiresDpop: body.requires_dpop,
    idTokenAlg: body.id_token_alg,
    lateWindow: body.late_window,
  }
  const given = Object.entries(changes).filter(([, value]) => value !== undefined)
  return { ...(Object.fromEntries(given) as ClientChanges), permissions }
}
