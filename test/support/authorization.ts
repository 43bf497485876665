import { createHash, randomBytes } from 'node:crypto'
import type { Caller } from './caller.ts'
import { post, type registrations } from './oauth.ts'
import type { TestServer } from './server.ts'
import { createVisitor, parametersOf, titleOf } from './visitor.ts'

export const CALLBACK = 'https://app.example.com/callback'

interface ActingClient {
  id: string
  redirectUri: string
  credentials?: Parameters<typeof post>[3]
  state?: string
}

/** A code verifier and its challenge (RFC 7636 §4). */
export function pkce() {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** A client that acts for users, and what it does. */
export async function createApp(
  server: TestServer,
  { client }: ReturnType<typeof registrations>,
  permissions: Record<string, string>,
  options: Parameters<ReturnType<typeof registrations>['client']>[1] = {},
) {
  const app = await client(permissions, {
    name: 'Photo Printer',
    redirectUris: [CALLBACK],
    grantTypes: ['authorization_code', 'refresh_token'],
    ...options,
  })
  const credentials = options.authMethod === 'none' ? undefined : app
  return {
    ...app,
    ...actionsOf(server, { id: app.id, redirectUri: CALLBACK, credentials, state: 'a state' }),
  }
}

/** What a client does that acts for users; a public one without credentials. */
export function actionsOf(
  server: Pick<Caller, 'call'>,
  { id, redirectUri, credentials, state }: ActingClient,
) {
  const url = (challenge: string, parameters: Record<string, string> = {}) =>
    `/oauth/authorize?${new URLSearchParams({
      response_type: 'code',
      client_id: id,
      redirect_uri: redirectUri,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...(state === undefined ? {} : { state }),
      ...parameters,
    })}`

  const token = (parameters: Record<string, string>, headers: Record<string, string> = {}) =>
    post(
      server,
      '/oauth/token',
      { ...(credentials ? {} : { client_id: id }), ...parameters },
      credentials,
      headers,
    )

  /** A code that a person's browser brings back. */
  async function code(
    account: { email: string; password: string },
    parameters: Record<string, string> = {},
    visitor = createVisitor(server),
  ) {
    const { verifier, challenge } = pkce()
    let page = await visitor.open(url(challenge, parameters))
    if (titleOf(page)?.startsWith('Sign in')) page = await visitor.signIn(page, account)
    if (page.status === 200) page = await visitor.decide(page, 'allow')
    if (page.status !== 303) throw new Error(`${page.status} ${page.text}`)
    return { ...parametersOf(page), verifier, visitor } as {
      code: string
      verifier: string
      visitor: typeof visitor
    }
  }

  const redeem = (
    given: { code: string; verifier: string },
    more: Record<string, string> = {},
    headers = {},
  ) =>
    token(
      {
        grant_type: 'authorization_code',
        code: given.code,
        code_verifier: given.verifier,
        redirect_uri: redirectUri,
        ...more,
      },
      headers,
    )

  const refresh = (refreshToken: string, more: Record<string, string> = {}, headers = {}) =>
    token({ grant_type: 'refresh_token', refresh_token: refreshToken, ...more }, headers)

  return { url, token, code, redeem, refresh }
}
