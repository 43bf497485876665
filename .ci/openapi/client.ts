// What a front-end developer writes with the generated types. It is only compiled.
import type { components, operations, paths } from './api.js'

type Json<Response> = Response extends { content: { 'application/json': infer Body } } ? Body : never
type Problems<Response> = Response extends { content: { 'application/problem+json': infer Body } }
  ? Body
  : never
type Session = components['schemas']['CurrentSession']

const API = 'http://localhost:8080' satisfies string
const path = '/auth/refresh' satisfies keyof paths

/** Who is signed in; null for a visitor. */
export async function whoIsSignedIn(): Promise<Session['user'] | null> {
  const answer = await fetch(`${API}/auth/session`, { credentials: 'include' })
  const session: Json<operations['getSession']['responses'][200]> = await answer.json()
  return session?.user ?? null
}

export async function refresh(key: string): Promise<string | { signedOutBecause: string }> {
  type Refresh = operations['refresh']
  const headers = { 'content-type': 'application/json', 'idempotency-key': key } satisfies NonNullable<
    Refresh['parameters']['header']
  > & { 'content-type': string }
  // The body is optional, and the cookie needs none.
  const body: Refresh['requestBody'] = undefined
  const answer = await fetch(API + path, {
    method: 'POST',
    credentials: 'include',
    headers,
    body: body ?? '{}',
  })
  if (answer.ok) {
    const tokens: Json<Refresh['responses'][200]> = await answer.json()
    return tokens.access_token
  }
  const problem: Problems<Refresh['responses'][401 | 409 | 503]> = await answer.json()
  switch (problem.code) {
    case 'session_ended':
      return { signedOutBecause: problem.reason ?? 'unknown' }
    case 'refresh_token_invalid':
      return { signedOutBecause: 'nobody has signed in' }
    case 'refresh_superseded':
    case 'unavailable':
      return refresh(key)
    default: {
      // Every code of these statuses is handled: the compiler knows them all.
      const none: never = problem
      return none
    }
  }
}

export async function signIn(email: string, password: string) {
  const body = { email, password, transport: 'cookie' } satisfies components['schemas']['SignInRequest']
  const answer = await fetch(`${API}/auth/login`, {
    method: 'POST',
    credentials: 'include',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return answer.ok
    ? ((await answer.json()) as Json<operations['signIn']['responses'][200]>).user
    : ((await answer.json()) as Problems<operations['signIn']['responses'][401]>).code
}

// @ts-expect-error a sign-in needs an address
export const incomplete: components['schemas']['SignInRequest'] = { password: 'correct horse battery' }
// @ts-expect-error a step-up needs a body
export const withoutBody: operations['deleteAccount']['requestBody'] = undefined
