import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { Redis } from 'ioredis'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { inboxRoutes } from '../../src/dev/inbox/inbox.plugin.ts'
import type { FetchOptions } from '../../src/platform/document-fetch.ts'
import { canonicalAddress } from '../../src/platform/email-address.ts'
import { earlierColumns, earlierFields } from './aging.ts'
import { createCaller } from './caller.ts'
import { createTestDatabase } from './database.ts'
import { documentedAnswers } from './documented.ts'
import { eventually } from './eventually.ts'
import { createFaultProxy, type FaultProxy } from './fault-proxy.ts'
import { patiently } from './patiently.ts'
import { redisUrl } from './redis.ts'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

export type TestServer = Awaited<ReturnType<typeof startServer>>

/** A clock that a test can move; it starts at the real time. */
export function movableClock() {
  let offset = 0
  return {
    now: () => Date.now() + offset,
    advance(ms: number) {
      offset += ms
    },
  }
}

export interface StartOptions {
  env?: Record<string, string>
  clock?: { now(): number }
  /** The URL of a database that several nodes share. */
  databaseUrl?: string
  /** How metadata documents of clients are fetched. */
  documentFetch?: Partial<FetchOptions>
  /** Puts a fault proxy in front of each store. */
  proxies?: boolean
  /** Whether the test makes a store fail, so that its usual timeout holds. With `proxies` it does. */
  storesFail?: boolean
}

const inboxes = new Map<string, string>()

/** The whole server over real HTTP, on its own database. */
export async function startServer(t: Teardown, options: StartOptions = {}) {
  const database = options.databaseUrl ? undefined : await createTestDatabase()
  const databaseUrl = options.databaseUrl ?? (database?.url as string)
  // Nodes on one database share an inbox: any of them may send mail that another has queued.
  const shared = inboxes.get(databaseUrl)
  const inboxDir = shared ?? (await mkdtemp(join(tmpdir(), 'ratchet-inbox-')))
  inboxes.set(databaseUrl, inboxDir)
  const logs: string[] = []
  const logTo = new Writable({
    write(chunk, _encoding, done) {
      logs.push(String(chunk))
      done()
    },
  })
  // With proxies, every connection between this node and its stores can fail.
  const proxies = options.proxies
    ? {
        postgres: await createFaultProxy({ target: databaseUrl }),
        redis: await createFaultProxy({ target: options.env?.REDIS_URL ?? redisUrl }),
      }
    : undefined
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION,
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    ALLOWED_ORIGINS: 'https://app.example.com',
    ARGON2_MEMORY_KIB: '1024',
    ARGON2_ITERATIONS: '1',
    RATE_LIMITS: 'false',
    // The stores of a busy machine answer late.
    ...(proxies || options.storesFail ? {} : { STORE_TIMEOUT_MS: '10000' }),
    BREACHED_PASSWORDS_URL: 'off',
    INBOX_DIR: inboxDir,
    ...options.env,
    ...(proxies ? { DATABASE_URL: proxies.postgres.url, REDIS_URL: proxies.redis.url } : {}),
  })
  const app = await buildApp(config, {
    logTo,
    extraRoutes: inboxRoutes(config),
    ...(options.clock ? { clock: options.clock } : {}),
    ...(options.documentFetch ? { documentFetch: options.documentFetch } : {}),
  })
  await app.listen({ port: 0, host: options.env?.HOST ?? '127.0.0.1' })
  const checkDocumented = documentedAnswers(await app.openapi())
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const redis = new Redis(redisUrl)
  let closed = false
  async function close() {
    if (closed) return
    closed = true
    await app.close()
  }
  t.teardown(async () => {
    await close()
    redis.disconnect()
    await proxies?.postgres.close()
    await proxies?.redis.close()
    if (!shared) await rm(inboxDir, { recursive: true, force: true })
    await database?.drop()
  })

  const { call, post } = createCaller(url, checkDocumented)

  /** The mails to an address in any spelling, oldest first, after everything queued is sent. */
  async function mailsTo(address: string): Promise<{ subject: string; text: string; html: string }[]> {
    await app.services.outbox.drain()
    // This node cannot drain mail that another node is about to send.
    const to = canonicalAddress(address) ?? address
    const now = new Date(options.clock?.now() ?? Date.now())
    const untried = {
      recipient: to,
      sentAt: null,
      gaveUpAt: null,
      lastError: null,
      // What waits for a cap does not count.
      OR: [{ scheduledAt: null }, { scheduledAt: { lte: now } }],
    }
    await eventually(async () => (await app.services.db.outboxMessage.count({ where: untried })) === 0)
    // A mail that is being written has another name until it is complete.
    const files = (await readdir(inboxDir)).filter((file) => file.endsWith('.json'))
    const mails = await Promise.all(
      files.map(async (file) => JSON.parse(await readFile(join(inboxDir, file), 'utf8'))),
    )
    return mails
      .filter((mail) => mail.to === to)
      .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.id < b.id ? -1 : 1))
  }

  /** The first link of the last mail to an address that has one. */
  async function lastLink(address: string): Promise<URL> {
    const links = (await mailsTo(address)).map(({ text }) => /^http\S+[?&]token=\S+$/m.exec(text)?.[0])
    const link = links.findLast((candidate) => candidate !== undefined)
    if (!link) throw new Error(`no link was mailed to ${address}`)
    return new URL(link)
  }
  const lastToken = async (address: string) => (await lastLink(address)).searchParams.get('token') as string

  const freshEmail = () => `p-${randomUUID().slice(0, 8)}@example.com`
  const password = 'a perfectly long passphrase'

  /** A verified account. */
  async function createAccount(email = freshEmail(), name = 'Ada') {
    await post('/auth/register', { email, password, name })
    await post('/auth/verify-email', { token: await lastToken(email), password })
    return { email, password }
  }

  async function login(account: { email: string; password: string }) {
    const answer = await patiently(() => post('/auth/login', { ...account, transport: 'body' }))
    if (answer.status !== 200) throw new Error(`login failed: ${answer.text}`)
    return answer.body as {
      access_token: string
      refresh_token: string
      session: { id: string; expires_at: string }
      device_token: string
    }
  }

  /** Moves everything stored about families `ms` into the past. */
  async function age(ms: number): Promise<void> {
    await app.services.sessions.flush()
    for (const key of await redis.keys('rt:*')) {
      for (const field of ['idle_expires_at', 'absolute_expires_at']) {
        if (await redis.hexists(key, field)) await redis.hincrby(key, field, -ms)
      }
      const earlier = earlierFields(await redis.hgetall(key), ms)
      if (Object.keys(earlier).length > 0) await redis.hset(key, earlier)
    }
    await app.services.db.$executeRaw`UPDATE sessions SET ${earlierColumns(ms)},
      idle_expires_at = idle_expires_at - ${ms} * interval '1 millisecond',
      absolute_expires_at = absolute_expires_at - ${ms} * interval '1 millisecond'`
  }

  const familyKey = (refreshToken: string) => `rt:{${app.services.sessions.parse(refreshToken)?.familyHash}}`
  const knowsFamily = async (refreshToken: string) =>
    (await redis.hexists(familyKey(refreshToken), 'generation')) === 1
  const forgetFamily = async (refreshToken: string) => void (await redis.del(familyKey(refreshToken)))

  return {
    url,
    app,
    db: app.services.db,
    redis,
    /** Present only with the option `proxies`. */
    proxies: proxies as Record<'postgres' | 'redis', FaultProxy>,
    logs,
    databaseUrl,
    close,
    call,
    post,
    mailsTo,
    lastLink,
    lastToken,
    freshEmail,
    password,
    createAccount,
    login,
    age,
    /** Whether Redis has what it needs to rotate a token. */
    knowsFamily,
    /** Makes Redis lose what it has. */
    forgetFamily,
  }
}

/** Runs a task 20 times in parallel. */
export const twenty = <T>(task: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: 20 }, (_, index) => task(index)))
