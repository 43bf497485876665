import { PROOF_ALGORITHMS } from '../../core/dpop/dpop.ts'
import { ASSERTION_ALGORITHMS } from './client-assertion.ts'

/** Where the endpoints are, below the issuer. */
export const PATHS = {
  token: '/oauth/token',
  introspection: '/oauth/introspect',
  jwks: '/.well-known/jwks.json',
} as const

const AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

/** The metadata of the authorization server (RFC 8414 §2). */
export const authorizationServerMetadata = (issuer: string): object => ({
  issuer,
  token_endpoint: issuer + PATHS.token,
  introspection_endpoint: issuer + PATHS.introspection,
  jwks_uri: issuer + PATHS.jwks,
  // Required, although nothing that it would list is there yet.
  response_types_supported: [],
  grant_types_supported: ['client_credentials'],
  token_endpoint_auth_methods_supported: AUTH_METHODS,
  token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
  introspection_endpoint_auth_methods_supported: AUTH_METHODS,
  introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
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
