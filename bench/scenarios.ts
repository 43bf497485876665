import { availableParallelism } from 'node:os'
import type { Credentials } from './account.ts'
import { signIn } from './account.ts'
import type { Child } from './child.ts'
import type { ColdFamilies } from './cold.ts'
import { get, post } from './connection.ts'
import { type Client, type Load, pace, percentile, repeat, rotatingInTurn, saturate } from './load.ts'
import type { Results } from './results.ts'
import type { Scenario } from './scenario.ts'
import { GRANTS_EACH, type ThirdParty } from './third-party.ts'

const CORES = availableParallelism()

export interface Stage {
  bare: Child
  app: Child
  account: Credentials
  /** Clients that each rotate their own family; they continue from round to round. */
  families: readonly Client[]
  cold: ColdFamilies
  thirdParty: ThirdParty
  /** Clients of the operator's own app, with as many sessions as the third party has grants. */
  ownSessions: readonly Client[]
  /** Those of the third party. */
  grants: readonly Client[]
  /** Introspects a token that the server knows. */
  introspection: string
  connections: number
  /** The number of logins, or raw verifications, at once. */
  concurrency: number
  /** Paced requests a second. */
  pacedRate: number
  seconds: number
}

/** Creates a function for each scenario, which runs it once and adds to `results`. */
export function createScenarios(stage: Stage, results: Results): Record<Scenario, () => Promise<void>> {
  const {
    bare,
    app,
    account,
    families,
    cold: coldFamilies,
    thirdParty,
    ownSessions,
    grants,
    introspection,
    connections,
    concurrency,
    pacedRate,
    seconds,
  } = stage
  const { emails, password, passwordHash: hash, accessTokens } = account
  const me = get('/me', accessTokens[0])
  const logins = emails.map((email) => post('/auth/login', { email, password, transport: 'body' }))
  const share = accessTokens.length / connections
  const cold = Array.from({ length: connections }, (_, index) =>
    withNextToken(accessTokens.slice(index * share, (index + 1) * share)),
  )
  async function record(name: Scenario, server: Child, measure: () => Promise<Load>): Promise<void> {
    const before = await server.ask<number>({ about: 'cpu' })
    const { answers, perSecond } = await measure()
    const after = await server.ask<number>({ about: 'cpu' })
    results.throughput[name].push(perSecond)
    results.cpu[name].push((after - before) / answers)
  }
  // Polling takes a whole core, so it needs another one for the server.
  const play =
    (name: Scenario, server: Child, clients: readonly Client[], awake = CORES > 1) =>
    () =>
      record(name, server, () => saturate(server.url, clients, seconds, awake))
  const playWarm = (name: Scenario, clients: readonly Client[]) => async () => {
    await refreshAll(app.url, clients)
    await play(name, app, clients, false)()
  }
  const playPaced = async (name: 'bare' | 'me', { url }: Child, request: string) => {
    const latencies = await pace(url, () => ({ next: () => request }), pacedRate, seconds)
    results.latency[name].push({ p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) })
  }
  const verify = { about: 'argon2', hash, password, concurrency, seconds } as const
  return {
    bare: play('bare', bare, same(get('/'), connections)),
    'me-warm': play('me-warm', app, same(me, connections)),
    'me-cold': play('me-cold', app, cold),
    refresh: play('refresh', app, families, false),
    async 'refresh-first'() {
      const tokens = await signIn(app.url, account, FIRST_REFRESHES)
      await record('refresh-first', app, () => once(app.url, tokens, connections))
    },
    'refresh-cold': async () => {
      const clients = await coldFamilies.forget()
      await record('refresh-cold', app, () => saturate(app.url, clients, seconds, false))
    },
    argon2: () =>
      record('argon2', bare, async () => {
        const [load] = await Promise.all([bare.ask<Load>(verify), playPaced('bare', bare, get('/'))])
        return load
      }),
    login: () =>
      record('login', app, async () => {
        const signIns = saturate(app.url, taking(logins, concurrency), seconds, false)
        const [load] = await Promise.all([signIns, playPaced('me', app, me)])
        return load
      }),
    'oauth-client-credentials': play(
      'oauth-client-credentials',
      app,
      same(thirdParty.clientCredentials, connections),
    ),
    async 'oauth-dpop'() {
      const clients = await thirdParty.proving(connections)
      await record('oauth-dpop', app, () => saturate(app.url, clients, seconds, false))
    },
    'oauth-introspect': play('oauth-introspect', app, same(introspection, connections)),
    'oauth-own-refresh': playWarm('oauth-own-refresh', ownSessions),
    'oauth-refresh': playWarm('oauth-refresh', grants),
  }
}

// Few, because each takes a sign-in first.
const FIRST_REFRESHES = 768

/** Refreshes each token once, as fast as they are answered. */
function once(url: string, tokens: readonly string[], connections: number): Promise<Load> {
  let at = 0
  const next = () => post('/auth/refresh', { refresh_token: tokens[at++] })
  return repeat(
    url,
    Array.from({ length: connections }, () => ({ next })),
    () => at < tokens.length,
  )
}

/** Refreshes the sessions of some clients, each about twice: the scenario before may have emptied Redis. */
function refreshAll(url: string, clients: readonly Client[]): Promise<Load> {
  let left = 2 * clients.length * GRANTS_EACH
  return repeat(url, clients, () => left-- > 0)
}

/** A client of the operator's own app, which rotates its sessions in turn. */
export const rotating = (...tokens: string[]): Client =>
  rotatingInTurn(tokens, (token) => post('/auth/refresh', { refresh_token: token }))

const same = (request: string, clients: number): Client[] =>
  Array.from({ length: clients }, () => ({ next: () => request }))

/** A client that uses the next token for each request. */
function withNextToken(tokens: readonly string[]): Client {
  const requests = tokens.map((token) => get('/me', token))
  let at = 0
  return { next: () => requests[at++ % requests.length] ?? '' }
}

/** Clients that together send each request in turn. */
function taking(requests: readonly string[], clients: number): Client[] {
  let at = 0
  return Array.from({ length: clients }, () => ({ next: () => requests[at++ % requests.length] ?? '' }))
}
