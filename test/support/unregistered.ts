import { pkce } from './authorization.ts'
import { post } from './oauth.ts'
import type { TestServer } from './server.ts'
import { createVisitor, parametersOf, titleOf } from './visitor.ts'

/** What a public client does that nobody registered. */
export function unregisteredClient(server: TestServer, id: string, redirectUri: string) {
  const url = (challenge: string, parameters: Record<string, string> = {}) =>
    `/oauth/authorize?${new URLSearchParams({
      response_type: 'code',
      client_id: id,
      redirect_uri: redirectUri,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...parameters,
    })}`
  const token = (parameters: Record<string, string>, headers = {}) =>
    post(server, '/oauth/token', { client_id: id, ...parameters }, undefined, headers)

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
    return { verifier, code: parametersOf(page).code ?? '', visitor }
  }

  const redeem = (given: { code: string; verifier: string }, more: Record<string, string> = {}) =>
    token({
      grant_type: 'authorization_code',
      code: given.code,
      code_verifier: given.verifier,
      redirect_uri: redirectUri,
      ...more,
    })
  const refresh = (refreshToken: string) =>
    token({ grant_type: 'refresh_token', refresh_token: refreshToken })

  return { id, url, token, code, redeem, refresh }
}
