// Better Auth as an OAuth server, whose refresh tokens rotate.
import { createHash, randomBytes } from 'node:crypto'
import { oauthProvider } from '@better-auth/oauth-provider'
import { type BetterAuthOptions, betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'
import { serveParent } from '../../serve.ts'
import { BASE_URL, betterAuthOptions } from './better-auth.ts'
import { serverFor } from './listen.ts'

const RESOURCE = 'https://api.test'
const CALLBACK = 'https://app.test/callback'
const SCOPE = 'profile offline_access'
const PASSWORD = 'correct horse battery'

const trusted = new Set<string>()
const own = betterAuthOptions()
const options = {
  ...own,
  session: { ...own.session, storeSessionInDatabase: true },
  plugins: [
    jwt({ disableSettingJwtHeader: true, jwks: { keyPairConfig: { alg: 'ES256' } } }),
    oauthProvider({
      loginPage: '/sign-in',
      consentPage: '/consent',
      scopes: ['profile', 'offline_access'],
      accessTokenExpiresIn: 600,
      resources: [RESOURCE],
      cachedTrustedClients: trusted,
    }),
  ],
} satisfies BetterAuthOptions
// Before the plugin writes its resources.
await (await getMigrations(options)).runMigrations()
const auth = betterAuth(options)

const headers = { cookie: await signIn('operator@example.com') }
const client = await auth.api.adminCreateOAuthClient({
  headers,
  body: {
    redirect_uris: [CALLBACK],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    scope: SCOPE,
    skip_consent: true,
  },
})
await auth.api.adminLinkClientResource({
  headers,
  params: { identifier: RESOURCE, client_id: client.client_id },
})
trusted.add(client.client_id)

await serveParent(serverFor(toNodeHandler(auth)), (question) =>
  question.about === 'refresh-tokens'
    ? Promise.all(
        Array.from({ length: question.count }, (_, index) => authorize(`user-${index}@example.com`)),
      )
    : null,
)

/** Registers a user. @returns the cookies of its session. */
async function signIn(email: string): Promise<string> {
  const json = { 'content-type': 'application/json' }
  await ask('/sign-up/email', json, JSON.stringify({ name: 'User', email, password: PASSWORD }))
  const { headers } = await ask('/sign-in/email', json, JSON.stringify({ email, password: PASSWORD }))
  const cookies = headers.getSetCookie().map((cookie) => cookie.split(';', 1)[0])
  return cookies.join('; ')
}

/** Goes through the authorization code flow as a browser would. */
async function authorize(email: string) {
  const cookie = await signIn(email)
  const verifier = randomBytes(32).toString('base64url')
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: CALLBACK,
    scope: SCOPE,
    resource: RESOURCE,
    state: 'state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  const redirect = await ask(`/oauth2/authorize?${query}`, { cookie })
  const location = redirect.headers.get('location') ?? ''
  const code = new URL(location, BASE_URL).searchParams.get('code')
  if (!code) throw new Error(`no authorization code: ${redirect.status} ${location}`)
  const grant = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: client.client_id,
    redirect_uri: CALLBACK,
    code,
    code_verifier: verifier,
    resource: RESOURCE,
  })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const answer = (await (await ask('/oauth2/token', form, grant.toString())).json()) as {
    refresh_token: string
  }
  return { token: answer.refresh_token, clientId: client.client_id, resource: RESOURCE }
}

async function ask(path: string, headers: Record<string, string>, body?: string): Promise<Response> {
  const init = { method: body === undefined ? 'GET' : 'POST', headers, body: body ?? null }
  const response = await auth.handler(new Request(`${BASE_URL}/api/auth${path}`, init))
  if (response.status >= 400) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
  return response
}
