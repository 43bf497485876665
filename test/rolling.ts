// Replaces three nodes one after the other while clients refresh and call the API, behind a load balancer that probes
// every 1, 5 and 10 s: no request may fail, and no session may end. `npm run rolling` replaces them by nodes of the same
// build; `npm run rolling -- <folder>` begins with the build in that folder and its schema, goes on to this one, and back.
import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createPasswords } from '../src/core/passwords/passwords.ts'
import { freePort } from '../src/dev/embedded/port.ts'
import { startPostgres } from '../src/dev/embedded/postgres.ts'
import { startRedis } from '../src/dev/embedded/redis.ts'
import { systemClock } from '../src/platform/clock.ts'
import { startBuiltServer } from './support/built-server.ts'
import { eventually } from './support/eventually.ts'
import { startProbingProxy } from './support/probing-proxy.ts'

const PROBES = [1, 5, 10]
const NODES = 3
const CLIENTS = 6
const PAUSE_MS = 20
const LATE_MS = 200
const START_MS = 60_000
const PASSWORD = 'a perfectly long passphrase'
const HASH = { memoryKib: 1024, iterations: 1, parallelism: 1 }

const current = resolve('.')
const previous = resolve(process.argv[2] ?? '.')
// One process after the other: all of a cluster are of the first build, then of the next, and so on.
const builds = previous === current ? [current, current] : [previous, current, previous]

const closers: (() => Promise<unknown>)[] = []
try {
  const data = await mkdtemp(join(tmpdir(), 'ratchet-rolling-'))
  closers.push(() => rm(data, { recursive: true, force: true }))
  // If Postgres has to run as another user, that user needs access to its data.
  await chmod(data, 0o755)
  const postgres = await startPostgres({ dir: join(data, 'postgres'), durable: false })
  closers.push(() => postgres.stop())
  const reports = await Promise.all(PROBES.map((seconds) => roll(postgres.url, seconds)))
  for (const { seconds, answers, late, failures } of reports) {
    const failed = failures.length > 0 ? `, ${failures.length} FAILED: ${failures[0]}` : ', none failed'
    const again = late > 0 ? `, ${late} sent again because a store was late` : ''
    console.log(
      `probes every ${seconds} s, ${builds.length - 1} rounds: ${answers} requests${failed}${again}`,
    )
  }
  if (reports.some(({ failures }) => failures.length > 0)) process.exitCode = 1
} finally {
  for (const close of closers.reverse()) await close()
}

/** Rolls one cluster, with a database and a Redis of its own. */
async function roll(postgresUrl: string, seconds: number) {
  const redis = await startRedis()
  closers.push(() => redis.stop())
  const databaseUrl = await createDatabase(postgresUrl, `rolling_${seconds}`)
  const env: Record<string, string> = {
    // The JavaScript Redis has no replication id, so production does not trust it.
    NODE_ENV: 'test',
    ...(redis.incarnation ? { REDIS_INCARNATION: redis.incarnation } : {}),
    HOST: '127.0.0.1',
    PUBLIC_URL: 'http://localhost:8080',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    APP_SECRETS: randomBytes(32).toString('base64url'),
    BREACHED_PASSWORDS_URL: 'off',
    RATE_LIMITS: 'false',
    ARGON2_MEMORY_KIB: `${HASH.memoryKib}`,
    ARGON2_ITERATIONS: `${HASH.iterations}`,
    LOG_LEVEL: 'error',
    // One probe has to fail before the load balancer knows.
    DRAIN_SECONDS: `${seconds + 1}`,
  }
  const [first = current, ...next] = builds
  migrate(first, env)
  const emails = await createAccounts(databaseUrl)
  const ports = await Promise.all(Array.from({ length: NODES }, freePort))
  // Together, because each of them drains.
  const ends: (() => Promise<unknown>)[] = []
  closers.push(() => Promise.all(ends.map((end) => end())))
  const teardown = (end: () => Promise<unknown>) => void ends.push(end)
  const start = (folder: string, port: number) => startBuiltServer({ teardown }, env, { folder, port })
  const nodes = new Map(
    await Promise.all(ports.map(async (port) => [port, await start(first, port)] as const)),
  )
  const proxy = await startProbingProxy(ports, seconds * 1_000)
  closers.push(async () => proxy.close())
  const load = await startClients(proxy.url, emails)
  for (const build of next) {
    migrate(build, env)
    for (const port of ports) {
      await nodes.get(port)?.stop()
      nodes.set(port, await start(build, port))
      await eventually(() => proxy.uses(port), START_MS)
    }
  }
  return { seconds, ...(await load.end()) }
}

async function createDatabase(postgresUrl: string, name: string): Promise<string> {
  await query(postgresUrl, `CREATE DATABASE ${name}`)
  return Object.assign(new URL(postgresUrl), { pathname: name }).href
}

/** Accounts in columns that every release has. */
async function createAccounts(databaseUrl: string): Promise<string[]> {
  const { hash } = await createPasswords({ clock: systemClock }, HASH)
  const emails = Array.from({ length: CLIENTS }, (_, index) => `person-${index}@example.com`)
  for (const email of emails) {
    await query(
      databaseUrl,
      `INSERT INTO users (id, email, email_verified_at, password_hash, created_at, updated_at)
       VALUES ($1, $2, now(), $3, now(), now())`,
      [randomUUID(), email, await hash(PASSWORD, 'local')],
    )
  }
  return emails
}

async function query(url: string, sql: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(sql, values).finally(() => client.end())
}

function migrate(build: string, env: Record<string, string>): void {
  execFileSync(process.execPath, [join(build, 'dist/cli/main.js'), 'migrate'], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** Clients that each continue one session until the end; whatever is not 200 is a failure. */
async function startClients(url: string, emails: readonly string[]) {
  const failures: string[] = []
  let answers = 0
  let late = 0
  let isOver = false

  async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
    const options = body ? { body: JSON.stringify(body) } : {}
    const type = body ? { 'content-type': 'application/json' } : {}
    for (;;) {
      const response = await fetch(url + path, { method, headers: { ...type, ...headers }, ...options })
      const text = await response.text()
      answers += 1
      if (response.status === 200) return JSON.parse(text)
      // A store that is late on a busy machine is not lost by a restart. Everything else is.
      if (response.status !== 503 || !/"code":"unavailable"/.test(text))
        throw new Error(`${method} ${path}: ${response.status} ${text}`)
      late += 1
      await sleep(LATE_MS)
    }
  }

  async function live(email: string): Promise<void> {
    try {
      let tokens = await call('POST', '/auth/login', { email, password: PASSWORD, transport: 'body' })
      while (!isOver) {
        const key = { 'idempotency-key': randomUUID() }
        tokens = await call('POST', '/auth/refresh', { refresh_token: tokens.refresh_token }, key)
        await call('GET', '/me', undefined, { authorization: `Bearer ${tokens.access_token}` })
        await sleep(PAUSE_MS)
      }
    } catch (error) {
      failures.push((error as Error).message)
    }
  }

  const lives = Promise.all(emails.map(live))
  await eventually(() => answers > emails.length * 3 || failures.length > 0, START_MS)
  return {
    async end() {
      isOver = true
      await lives
      return { answers, late, failures }
    },
  }
}
