// oidc-provider over Redis.
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'
import { serveParent } from '../../serve.ts'
import { serverFor } from './listen.ts'
import { RedisAdapter } from './redis-adapter.ts'

const CLIENT_ID = 'app'
const RESOURCE = 'https://api.test'
const SCOPE = 'api'
const TTL_SECONDS = { AccessToken: 600, Grant: 14 * 86_400, RefreshToken: 14 * 86_400 }

const { privateKey } = await generateKeyPair('ES256', { extractable: true })
const provider = new Provider('http://oidc-provider.test', {
  adapter: RedisAdapter,
  clients: [
    {
      client_id: CLIENT_ID,
      token_endpoint_auth_method: 'none',
      redirect_uris: ['https://app.test/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  cookies: { keys: [process.env.SECRET as string] },
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'key' }] },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: SCOPE,
        audience: RESOURCE,
        accessTokenTTL: TTL_SECONDS.AccessToken,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
      useGrantedResource: () => true,
    },
  },
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  rotateRefreshToken: true,
  ttl: TTL_SECONDS,
})

await serveParent(serverFor(provider.callback()), (question) =>
  question.about === 'refresh-tokens'
    ? Promise.all(Array.from({ length: question.count }, (_, index) => grantTo(`user-${index}`)))
    : null,
)

/** Does what the authorization code grant does after a user has consented. */
async function grantTo(accountId: string) {
  const client = await provider.Client.find(CLIENT_ID)
  if (!client) throw new Error('the client is unknown')
  const grant = new provider.Grant({ accountId, clientId: CLIENT_ID })
  grant.addOIDCScope('offline_access')
  grant.addResourceScope(RESOURCE, SCOPE)
  const refreshToken = new provider.RefreshToken({
    accountId,
    client,
    grantId: await grant.save(),
    gty: 'authorization_code',
    resource: RESOURCE,
    scope: `offline_access ${SCOPE}`,
    iiat: Math.floor(Date.now() / 1000),
  })
  return { token: await refreshToken.save(), clientId: CLIENT_ID, resource: RESOURCE }
}
