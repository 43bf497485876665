import { randomBytes } from 'node:crypto'
import type { Credentials } from './account.ts'
import type { Child } from './child.ts'
import { get, post } from './connection.ts'
import { type Client, saturate } from './load.ts'
import type { Scenario } from './scenario.ts'

/** A request that is refused, and the scenario that measures its valid twin. */
export interface Refusal {
  name: string
  twin: Scenario
  client: Client
}

/** What strangers can send: each should cost no more than what it imitates. */
export function createRefusals({ accessTokens }: Credentials, refreshToken: string): Refusal[] {
  const [token = ''] = accessTokens
  const refused = (name: string, twin: Scenario, status: number, next: () => string): Refusal => ({
    name,
    twin,
    client: { next, accepts: [status] },
  })
  const refresh = (refresh_token: string) => post('/auth/refresh', { refresh_token })
  const signIn = (email: string, password: string) =>
    post('/auth/login', { email, password, transport: 'body' })
  return [
    refused('refresh token of random text', 'refresh', 401, () => refresh(text(75))),
    refused('refresh token with a forged tag', 'refresh', 401, () =>
      refresh(refreshToken.slice(0, -20) + text(20)),
    ),
    refused('access token of random text', 'me-cold', 401, () => get('/me', text(500))),
    refused('access token with a forged signature', 'me-cold', 401, () =>
      get('/me', token.slice(0, -60) + text(60)),
    ),
    refused('no access token', 'me-warm', 401, () => get('/me')),
    refused('an unknown path', 'me-warm', 404, () => get(`/${text(20)}`)),
    refused('a body of 20 KiB', 'refresh', 413, () => post('/auth/refresh', '"'.repeat(20_480))),
    refused('a body that is not JSON', 'refresh', 400, () => post('/auth/refresh', '{"refresh_token":')),
    refused('a property that does not exist', 'refresh', 400, () =>
      post('/auth/refresh', { refresh_token: 'x', role: 'admin' }),
    ),
    refused('sign-in with an unknown address', 'login', 401, () =>
      signIn(`${text(12)}@example.com`, 'wrong'),
    ),
    refused('sign-in with a password of 4,000 characters', 'login', 401, () =>
      signIn(`${text(12)}@example.com`, 'x'.repeat(4_000)),
    ),
  ]
}

export interface RefusalCost {
  name: string
  twin: Scenario
  /** Microseconds of CPU time that the server process used per answer. */
  cpu: number
  perSecond: number
}

const CONNECTIONS = 32

/** Measures what each costs the server, one kind after the other; the first second of each does not count. */
export async function measureRefusals(
  app: Child,
  refusals: readonly Refusal[],
  seconds: number,
): Promise<RefusalCost[]> {
  const costs: RefusalCost[] = []
  for (const { name, twin, client } of refusals) {
    const clients = Array.from({ length: CONNECTIONS }, () => client)
    await saturate(app.url, clients, 1, false)
    const before = await app.ask<number>({ about: 'cpu' })
    const { answers, perSecond } = await saturate(app.url, clients, seconds, false)
    costs.push({ name, twin, cpu: ((await app.ask<number>({ about: 'cpu' })) - before) / answers, perSecond })
  }
  return costs
}

const text = (length: number) => randomBytes(length).toString('base64url').slice(0, length)
