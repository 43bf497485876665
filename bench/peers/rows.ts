import { availableParallelism } from 'node:os'
import type { Child } from '../child.ts'
import type { Client } from '../load.ts'
import { addresses, PASSWORD, postJson } from './accounts.ts'
import { compose, extending, repeating, rotating } from './clients.ts'

export const OPERATIONS = ['sign-in', 'check', 'refresh'] as const
export type Operation = (typeof OPERATIONS)[number]

export interface Row {
  operation: Operation
  server: string
  /** What is asked, if that is not the same everywhere. */
  detail: string
  child: Child
  /** Called before each measurement, so that nothing expires while the others are measured. */
  clients(): Promise<readonly Client[]>
}

interface Granted {
  token: string
  clientId: string
  resource: string
}

const CONNECTIONS = 32
const SIGN_INS = availableParallelism() * 2
const ACCOUNTS_PER_SIGN_IN = 32
// No account serves two operations, so that sessions of one do not slow down another.
const REFRESHING = addresses(0, CONNECTIONS)
const CHECKING = addresses(CONNECTIONS, CONNECTIONS)
const SIGNING_IN = addresses(2 * CONNECTIONS, SIGN_INS * ACCOUNTS_PER_SIGN_IN)
export const ACCOUNTS = [...REFRESHING, ...CHECKING, ...SIGNING_IN]

/** Ratchet, and the server written by hand, which has the same endpoints. */
export function rowsOfRatchet(server: string, child: Child): Row[] {
  const loginWith = (email: string) =>
    compose('/auth/login', {}, { email, password: PASSWORD, transport: 'body' })
  const login = async (email: string) => {
    const response = await postJson(`${child.url}/auth/login`, {
      email,
      password: PASSWORD,
      transport: 'body',
    })
    return (await response.json()) as { access_token: string; refresh_token: string }
  }
  const rotate = (refresh_token: string) => compose('/auth/refresh', {}, { refresh_token })
  const me = async (email: string) => {
    const headers = { Authorization: `Bearer ${(await login(email)).access_token}` }
    return repeating([{ request: compose('/me', headers), contains: email }])
  }
  return [
    {
      operation: 'sign-in',
      server,
      detail: '',
      child,
      clients: async () => signingIn(loginWith, '"refresh_token"'),
    },
    { operation: 'check', server, detail: 'GET /me', child, clients: () => Promise.all(CHECKING.map(me)) },
    {
      operation: 'refresh',
      server,
      detail: 'rotates',
      child,
      clients: once(async () =>
        Promise.all(REFRESHING.map(async (email) => rotating((await login(email)).refresh_token, rotate))),
      ),
    },
  ]
}

export function rowsOfBetterAuth(child: Child): Row[] {
  const server = 'Better Auth'
  const path = '/api/auth/get-session'
  const signInWith = (email: string) => compose('/api/auth/sign-in/email', {}, { email, password: PASSWORD })
  const cookiesOf = async (email: string) => {
    const { headers } = await postJson(`${child.url}/api/auth/sign-in/email`, { email, password: PASSWORD })
    return headers.getSetCookie().map((cookie) => cookie.split(';', 1)[0] as string)
  }
  const checking = (query: string, isCached: boolean) => () =>
    Promise.all(
      CHECKING.map(async (email) => {
        const cookies = await cookiesOf(email)
        if (isCached && !cookies.some((cookie) => cookie.includes('session_data')))
          throw new Error(`no cookie cache: ${cookies}`)
        return repeating([
          { request: compose(path + query, { Cookie: cookies.join('; ') }), contains: email },
        ])
      }),
    )
  return [
    {
      operation: 'sign-in',
      server,
      detail: '',
      child,
      clients: async () => signingIn(signInWith, '"token":"'),
    },
    { operation: 'check', server, detail: 'get-session, cookie cache', child, clients: checking('', true) },
    {
      operation: 'check',
      server,
      detail: 'get-session, from Redis',
      child,
      clients: checking('?disableCookieCache=true&disableRefresh=true', false),
    },
    {
      operation: 'refresh',
      server,
      detail: 'extends the session, same token',
      child,
      clients: once(async () =>
        Promise.all(
          REFRESHING.map(async (email) =>
            extending(
              compose(`${path}?disableCookieCache=true`, { Cookie: (await cookiesOf(email)).join('; ') }),
            ),
          ),
        ),
      ),
    },
  ]
}

/** A server of which only the token endpoint is measured. */
export function rowOfTokenEndpoint(server: string, path: string, child: Child): Row {
  const refresh = ({ token, clientId, resource }: Granted): Client =>
    rotating(token, (refresh_token) => {
      const form = { grant_type: 'refresh_token', client_id: clientId, resource, refresh_token }
      return compose(path, {}, new URLSearchParams(form))
    })
  const clients = once(async () =>
    (await child.ask<Granted[]>({ about: 'refresh-tokens', count: CONNECTIONS })).map(refresh),
  )
  return { operation: 'refresh', server, detail: 'rotates', child, clients }
}

function signingIn(requestWith: (email: string) => string, contains: string): Client[] {
  return Array.from({ length: SIGN_INS }, (_, index) => {
    const emails = SIGNING_IN.slice(index * ACCOUNTS_PER_SIGN_IN, (index + 1) * ACCOUNTS_PER_SIGN_IN)
    return repeating(emails.map((email) => ({ request: requestWith(email), contains })))
  })
}

/** Families are rotated from round to round. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
