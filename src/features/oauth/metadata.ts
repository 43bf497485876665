import { OPENID_SCOPES } from '../../core/clients/clients.ts'
import { PROOF_ALGORITHMS } from '../../core/dpop/dpop.ts'
import { ACR, PROMPTS } from './authorize/request.ts'
import { ASSERTION_ALGORITHMS } from './client-assertion.ts'

/** Where the endpoints are, below the issuer. */
export const PATHS = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  introspection: '/oauth/introspect',
  revocation: '/oauth/revoke',
  registration: '/oauth/register',
  jwks: '/.well-known/jwks.json',
} as const

const AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

/** The metadata of the authorization server (RFC 8414 §2). */
export const authorizationServerMetadata = (
  issuer: string,
  { dynamicRegistration }: { dynamicRegistration: boolean },
): object => ({
  issuer,
  authorization_endpoint: issuer + PATHS.authorization,
  token_endpoint: issuer + PATHS.token,
  introspection_endpoint: issuer + PATHS.introspection,
  revocation_endpoint: issuer + PATHS.revocation,
  ...(dynamicRegistration ? { registration_endpoint: issuer + PATHS.registration } : {}),
  jwks_uri: issuer + PATHS.jwks,
  response_types_supported: ['code'],
  response_modes_supported: ['query'],
  grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['none', ...AUTH_METHODS],
  token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
  introspection_endpoint_auth_methods_supported: AUTH_METHODS,
  introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
  revocation_endpoint_auth_methods_supported: ['none', ...AUTH_METHODS],
  revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
  scopes_supported: OPENID_SCOPES,
  prompt_values_supported: PROMPTS,
  acr_values_supported: Object.values(ACR),
  authorization_response_iss_parameter_supported: true,
  dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
})

/** The metadata of this server's own API (RFC 9728 §2). */
export const protectedResourceMetadata = (issuer: string, audience: string): object => ({
  resource: audience,
  authorization_servers: [issuer],
  jwks_uri: issuer + PATHS.jwks,
  bearer_methods_supported: ['header'],
  resource_documentation: `${issuer}/docs`,
})
