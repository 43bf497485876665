import { GRANT_TYPES, OPENID_SCOPES } from '../../core/clients/clients.ts'
import { CLIENT_ALGORITHMS } from '../../platform/client-keys.ts'
import { ACR, PROMPTS } from './authorize/request.ts'

/** Where the endpoints are, below the issuer. */
export const PATHS = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  deviceAuthorization: '/oauth/device_authorization',
  /** The page for the user of a device: short, because it is typed. */
  device: '/device',
  introspection: '/oauth/introspect',
  revocation: '/oauth/revoke',
  userinfo: '/oauth/userinfo',
  endSession: '/oauth/end-session',
  registration: '/oauth/register',
  jwks: '/.well-known/jwks.json',
} as const

const AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
const ID_TOKEN_CLAIMS = [
  'iss',
  'sub',
  'aud',
  'exp',
  'iat',
  'auth_time',
  'nonce',
  'acr',
  'amr',
  'sid',
  'at_hash',
]
const USER_CLAIMS = ['email', 'email_verified', 'name', 'locale', 'updated_at']

/** What can change while the server runs, or is configured. */
export interface MetadataOptions {
  /** Those that sign tokens: clients can have one of their own. */
  algorithms: readonly string[]
  dynamicRegistration: boolean
  acceptsDocuments: boolean
}

/** The metadata of the authorization server (RFC 8414 §2, OpenID Connect Discovery 1.0 §3). */
export const authorizationServerMetadata = (
  issuer: string,
  { algorithms, dynamicRegistration, acceptsDocuments }: MetadataOptions,
): object => ({
  issuer,
  authorization_endpoint: issuer + PATHS.authorization,
  token_endpoint: issuer + PATHS.token,
  device_authorization_endpoint: issuer + PATHS.deviceAuthorization,
  introspection_endpoint: issuer + PATHS.introspection,
  revocation_endpoint: issuer + PATHS.revocation,
  userinfo_endpoint: issuer + PATHS.userinfo,
  end_session_endpoint: issuer + PATHS.endSession,
  ...(dynamicRegistration ? { registration_endpoint: issuer + PATHS.registration } : {}),
  client_id_metadata_document_supported: acceptsDocuments,
  jwks_uri: issuer + PATHS.jwks,
  response_types_supported: ['code'],
  response_modes_supported: ['query'],
  grant_types_supported: GRANT_TYPES,
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['none', ...AUTH_METHODS],
  token_endpoint_auth_signing_alg_values_supported: CLIENT_ALGORITHMS,
  introspection_endpoint_auth_methods_supported: AUTH_METHODS,
  introspection_endpoint_auth_signing_alg_values_supported: CLIENT_ALGORITHMS,
  revocation_endpoint_auth_methods_supported: ['none', ...AUTH_METHODS],
  revocation_endpoint_auth_signing_alg_values_supported: CLIENT_ALGORITHMS,
  scopes_supported: OPENID_SCOPES,
  prompt_values_supported: PROMPTS,
  acr_values_supported: Object.values(ACR),
  authorization_response_iss_parameter_supported: true,
  dpop_signing_alg_values_supported: CLIENT_ALGORITHMS,
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: algorithms,
  claim_types_supported: ['normal'],
  claims_supported: [...ID_TOKEN_CLAIMS, ...USER_CLAIMS],
  claims_parameter_supported: false,
  request_parameter_supported: false,
  // Without it, clients believe the opposite.
  request_uri_parameter_supported: false,
  backchannel_logout_supported: true,
  backchannel_logout_session_supported: true,
})

/** The metadata of this server's own API (RFC 9728 §2). */
export const protectedResourceMetadata = (issuer: string, audience: string): object => ({
  resource: audience,
  authorization_servers: [issuer],
  jwks_uri: issuer + PATHS.jwks,
  bearer_methods_supported: ['header'],
  resource_documentation: `${issuer}/docs`,
})
