import { createPublicKey, type JsonWebKey } from 'node:crypto'
import type { JSONWebKeySet } from 'jose'
import { isPrivateKey, SMALLEST_RSA_KEY } from '../../platform/client-keys.ts'
import { isName } from '../../platform/name.ts'
import type { NewClient } from './manage.ts'
import { redirectUriFault, webUriFault } from './redirect-uri.ts'

/** What is wrong with a registration, and what would be right: `detail` goes on a sentence that begins with the member. */
export interface Fault {
  /** A JSON pointer with the names of the HTTP API. */
  pointer: string
  detail: string
}

const MOST_URIS = 20
const MOST_KEYS = 10
/** Seconds: how late a copy of a refresh token may be at most. */
export const LONGEST_LATE_WINDOW = 1_800

export const NAME_FAULT =
  'must have 1 to 100 characters, one of them visible, and none that controls the text around it'

/** Everything that is wrong with a client as it would be registered. */
export function clientFaults(client: NewClient): Fault[] {
  const {
    name,
    redirectUris = [],
    postLogoutRedirectUris = [],
    backchannelLogoutUri,
    uri,
    lateWindow = 0,
  } = client
  return [
    ...when(!isName(name), '/name', NAME_FAULT),
    ...uriFaults('/redirect_uris', redirectUris),
    ...uriFaults('/post_logout_redirect_uris', postLogoutRedirectUris),
    ...faultOf('/backchannel_logout_uri', backchannelLogoutUri && webUriFault(backchannelLogoutUri)),
    ...faultOf('/uri', uri && webUriFault(uri)),
    ...when(
      !Number.isInteger(lateWindow) || lateWindow < 0 || lateWindow > LONGEST_LATE_WINDOW,
      '/late_window',
      `must be a number of seconds from 0 to ${LONGEST_LATE_WINDOW}`,
    ),
    ...grantFaults(client),
    ...keyFaults(client),
  ]
}

function grantFaults(client: NewClient): Fault[] {
  const { authMethod, grantTypes, redirectUris = [], adminScopes = [], requiresDpop } = client
  const has = (grant: string) => grantTypes.some((each) => each === grant)
  const forUsers = grantTypes.filter((each) => each !== 'client_credentials' && each !== 'refresh_token')
  const forItself = has('client_credentials')
  return [
    ...when(grantTypes.length === 0, '/grant_types', 'must name at least one'),
    ...when(
      forItself && authMethod === 'none',
      '/grant_types',
      'can have client_credentials only if the client authenticates: with a secret or private_key_jwt',
    ),
    ...when(
      has('refresh_token') && forUsers.length === 0,
      '/grant_types',
      'can have refresh_token only with a grant of users, such as authorization_code',
    ),
    ...when(
      has('authorization_code') && redirectUris.length === 0,
      '/redirect_uris',
      'must have at least one for authorization_code',
    ),
    ...when(
      !has('authorization_code') && redirectUris.length > 0,
      '/redirect_uris',
      'are for authorization_code, which is not among the grant types',
    ),
    ...when(
      adminScopes.length > 0 && !forItself,
      '/admin_scopes',
      'are for client_credentials, which is not among the grant types',
    ),
    ...when(
      adminScopes.length > 0 && requiresDpop === true,
      '/admin_scopes',
      "need a client that may have bearer tokens: this server's own API takes no others",
    ),
  ]
}

function keyFaults({ authMethod, jwks }: NewClient): Fault[] {
  if (authMethod === 'private_key_jwt')
    return faultOf('/jwks', jwks ? keySetFault(jwks) : 'must have the public keys of private_key_jwt')
  return when(jwks !== undefined, '/jwks', 'belongs to private_key_jwt')
}

/** What is wrong with a JWK set of public keys (RFC 7517 §5). */
function keySetFault(jwks: JSONWebKeySet): string | null {
  const keys: unknown = jwks?.keys
  if (!Array.isArray(keys) || keys.length === 0) return 'must be a JWK set with at least one key'
  if (keys.length > MOST_KEYS) return `must have at most ${MOST_KEYS} keys`
  for (const [index, key] of keys.entries()) {
    if (typeof key !== 'object' || key === null)
      return `must have objects as keys: number ${index + 1} is none`
    if (isPrivateKey(key)) return `has private keys: number ${index + 1}. Only public keys belong here`
    const fault = publicKeyFault(key)
    if (fault) return `must have other keys: number ${index + 1} ${fault}`
  }
  return null
}

function publicKeyFault(key: JsonWebKey & { use?: unknown }): string | null {
  const unusable = 'cannot be used to verify signatures'
  if (key.use !== undefined && key.use !== 'sig') return unusable
  try {
    const { asymmetricKeyType: type, asymmetricKeyDetails: details } = createPublicKey({ key, format: 'jwk' })
    if (type === 'rsa')
      return (details?.modulusLength ?? 0) < SMALLEST_RSA_KEY ? 'is short: RSA keys need 2048 bits' : null
    return type === 'ed25519' || (type === 'ec' && details?.namedCurve !== 'secp256k1') ? null : unusable
  } catch {
    return unusable
  }
}

function uriFaults(pointer: string, uris: readonly string[]): Fault[] {
  if (uris.length > MOST_URIS) return [{ pointer, detail: `must be at most ${MOST_URIS}` }]
  return uris.flatMap((uri, index) => faultOf(`${pointer}/${index}`, redirectUriFault(uri)))
}

const when = (isWrong: boolean, pointer: string, detail: string): Fault[] =>
  isWrong ? [{ pointer, detail }] : []

const faultOf = (pointer: string, detail: string | null | undefined): Fault[] =>
  detail ? [{ pointer, detail }] : []
