import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { loadConfig } from '../../src/config.ts'
import { type Child, startChild } from '../child.ts'
import { openStores } from '../stores.ts'
import { seedRatchet, signUp } from './accounts.ts'
import { ACCOUNTS, type Row, rowOfTokenEndpoint, rowsOfBetterAuth, rowsOfRatchet } from './rows.ts'

/** Starts every server, each in a process and with databases of its own on one Postgres and one Redis. */
export async function startServers(onEnd: (close: () => Promise<unknown>) => void) {
  const { env, redisDescription } = await openStores(onEnd)
  const admin = new pg.Client({ connectionString: env.DATABASE_URL })
  await admin.connect()
  onEnd(() => admin.end())
  const start = async (file: string, own: Record<string, string>): Promise<Child> => {
    const child = await startChild(file, own)
    onEnd(() => child.stop())
    return child
  }
  let redisDatabase = 0
  const startPeer = async (name: string): Promise<Child> => {
    const database = name.replaceAll('-', '_')
    await admin.query(`CREATE DATABASE ${database}`)
    const databaseUrl = withPath(env.DATABASE_URL, database)
    if (name === 'by-hand') await createTables(databaseUrl)
    redisDatabase += 1
    return start(`./peers/servers/${name}.child.ts`, {
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      REDIS_URL: withPath(env.REDIS_URL, String(redisDatabase)),
      SECRET: randomBytes(32).toString('base64url'),
    })
  }

  const ratchet = await start('./app.child.ts', env)
  await seedRatchet(loadConfig(env), ACCOUNTS)
  const byHand = await startPeer('by-hand')
  await signUp(`${byHand.url}/auth/register`, ACCOUNTS)
  const betterAuth = await startPeer('better-auth')
  await signUp(`${betterAuth.url}/api/auth/sign-up/email`, ACCOUNTS)
  const betterAuthOauth = await startPeer('better-auth-oauth')
  const oidcProvider = await startPeer('oidc-provider')
  const rows: Row[] = [
    ...rowsOfRatchet('Ratchet', ratchet),
    ...rowsOfRatchet('by hand', byHand),
    ...rowsOfBetterAuth(betterAuth),
    rowOfTokenEndpoint('Better Auth, OAuth plugin', '/api/auth/oauth2/token', betterAuthOauth),
    rowOfTokenEndpoint('oidc-provider', '/token', oidcProvider),
  ]
  return { rows, redisDescription }
}

/** The tables of the server written by hand. The others need none, or create them. */
async function createTables(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query(await readFile(new URL('servers/by-hand.sql', import.meta.url), 'utf8'))
  await client.end()
}

function withPath(url: string, path: string): string {
  const changed = new URL(url)
  changed.pathname = `/${path}`
  return changed.href
}
