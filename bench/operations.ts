import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { addressesOf, type Credentials } from './account.ts'
import type { Child, Counted } from './child.ts'
import { type Connection, get, openConnection, post } from './connection.ts'
import type { Client } from './load.ts'
import type { ThirdParty } from './third-party.ts'

/** What one operation sends to the stores. */
export interface OperationCost {
  name: string
  statements: number
  /** How often Postgres waits for its log to reach the disk. */
  walSyncs: number
  redisRoundTrips: number
}

interface Operation {
  name: string
  status: number
  /** Makes what one call needs, before anything is counted, and returns the request. */
  prepare(): Promise<string>
}

// Longer than a backend of Postgres that has become idle keeps its statistics to itself.
const SETTLE_MS = 11_000
const CALLS = 60

/** Each operation that signs in has an account of its own, which stays below the limit of sessions. */
export const SIGNING_IN = addressesOf('operation', 4)

/** Counts what each operation costs, one call at a time, so that no two share a write or a sync. */
export async function measureOperations(
  app: Child,
  env: { DATABASE_URL: string },
  account: Credentials,
  thirdParty: ThirdParty,
): Promise<OperationCost[]> {
  const connection = await openConnection(app.url)
  const stats = new pg.Client(env.DATABASE_URL)
  await stats.connect()
  try {
    const costs: OperationCost[] = []
    for (const operation of createOperations(connection, account, thirdParty)) {
      costs.push(await measure(app, stats, connection, operation))
    }
    return costs
  } finally {
    connection.close()
    await stats.end()
  }
}

async function measure(
  app: Child,
  stats: pg.Client,
  connection: Connection,
  { name, status, prepare }: Operation,
) {
  const requests: string[] = []
  for (let call = 0; call < CALLS; call += 1) requests.push(await prepare())
  await sleep(SETTLE_MS)
  await app.ask<null>({ about: 'count' })
  const before = await syncsOf(stats)
  for (const request of requests) {
    const answer = await connection.exchange(request)
    if (answer.status !== status) throw new Error(`${name} answered ${answer.status}: ${answer.body}`)
  }
  const { statements, flushes, redisRoundTrips } = await app.ask<Counted>({ about: 'counted' })
  await sleep(SETTLE_MS)
  const syncs = (await syncsOf(stats)) - before
  return {
    name,
    statements: (statements - flushes) / CALLS,
    walSyncs: syncs / CALLS,
    redisRoundTrips: redisRoundTrips / CALLS,
  }
}

function createOperations(
  connection: Connection,
  { password, accessTokens }: Credentials,
  thirdParty: ThirdParty,
): Operation[] {
  const loginOf = (account: number, device_token?: string) =>
    post('/auth/login', { email: SIGNING_IN[account], password, transport: 'body', device_token })
  const signIn = async (account: number) => JSON.parse((await connection.exchange(loginOf(account))).body)
  const me = get('/me', accessTokens[0])
  let known: string | undefined
  return [
    { name: 'sign-in', status: 200, prepare: async () => loginOf(0) },
    {
      name: 'sign-in on a known device',
      status: 200,
      async prepare() {
        known ??= (await signIn(1)).device_token
        return loginOf(1, known)
      },
    },
    {
      name: 'sign-in, wrong password, on its own address',
      status: 401,
      prepare: async () => post('/auth/login', { email: nobody(), password: 'wrong', transport: 'body' }),
    },
    {
      name: 'first refresh after a sign-in',
      status: 200,
      prepare: async () => post('/auth/refresh', { refresh_token: (await signIn(2)).refresh_token }),
    },
    { name: 'GET /me', status: 200, prepare: async () => me },
    {
      name: 'sign-out',
      status: 204,
      prepare: async () => post('/auth/logout', { refresh_token: (await signIn(3)).refresh_token }),
    },
    {
      name: 'redemption of a code',
      status: 200,
      prepare: async () => thirdParty.redemption(),
    },
    { name: 'refresh by a third party', status: 200, prepare: () => nextOf(thirdParty.rotating(1)) },
    {
      name: 'client_credentials',
      status: 200,
      prepare: async () => thirdParty.clientCredentials,
    },
    {
      name: 'client_credentials with a proof (DPoP)',
      status: 200,
      prepare: () => nextOf(thirdParty.proving(1)),
    },
    { name: 'introspection', status: 200, prepare: thirdParty.introspection },
  ]
}

const nextOf = async (clients: Promise<readonly Client[]>) => (await clients)[0]?.next() ?? ''
const nobody = () => `${randomUUID()}@example.com`

/** How often a request has waited for Postgres to sync its write-ahead log; a background process does so as well. */
async function syncsOf(stats: pg.Client): Promise<number> {
  const { rows } = await stats.query(
    "SELECT sum(fsyncs)::int AS syncs FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'",
  )
  return rows[0].syncs
}
