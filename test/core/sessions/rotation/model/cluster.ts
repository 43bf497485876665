import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPasswords } from '../../../../../src/core/passwords/passwords.ts'
import { bytes } from '../../../../../src/core/sessions/family-hash.ts'
import { systemClock } from '../../../../../src/platform/clock.ts'
import { openDatabase } from '../../../../../src/platform/database.ts'
import { earlierColumns, earlierFields } from '../../../../support/aging.ts'
import { createTestDatabase } from '../../../../support/database.ts'
import { eventually } from '../../../../support/eventually.ts'
import { type Node, startNode } from '../../../../support/node.ts'
import { PASSWORD as REDIS_PASSWORD, startRedisServer } from '../../../../support/redis-servers.ts'
import { redisKey } from './twins.ts'

export type Cluster = Awaited<ReturnType<typeof startCluster>>

export interface Reply {
  /** 0 when there was no answer. */
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any answer of the server
  body: any
}

export const GRACE_MS = 10_000
export const CLIENT_GRACE_MS = 60_000
const PASSWORD = 'a perfectly long passphrase'

/** Two nodes in separate processes on one Postgres and one Redis, each behind its own proxies. */
export async function startCluster(t: Parameters<typeof startRedisServer>[0]) {
  const database = await createTestDatabase()
  const { db, close } = openDatabase({ url: database.url, poolSize: 4 })
  const redisServer = await startRedisServer(t, {
    client: { enableOfflineQueue: false, retryStrategy: () => 20 },
  })
  const { client: redis } = redisServer
  const inbox = await mkdtemp(join(tmpdir(), 'ratchet-inbox-'))
  const env = {
    NODE_ENV: 'test',
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    ARGON2_MEMORY_KIB: '1024',
    ARGON2_ITERATIONS: '1',
    RATE_LIMITS: 'false',
    INBOX_DIR: inbox,
    REFRESH_GRACE: String(GRACE_MS / 1000),
    LOG_LEVEL: 'warn',
  }
  const start = () =>
    startNode({
      databaseUrl: database.url,
      redisUrl: `redis://:${REDIS_PASSWORD}@127.0.0.1:${redisServer.port}`,
      env,
    })
  // One after the other, because the first creates the signing key.
  const nodes: [Node, Node] = [await start(), await start()]
  const passwords = await createPasswords(
    { clock: systemClock },
    { memoryKib: 1024, iterations: 1, parallelism: 1, concurrency: undefined },
  )
  const passwordHash = await passwords.hash(PASSWORD, 'local')

  async function call(node: number, method: string, path: string, options: CallOptions = {}): Promise<Reply> {
    const { body, bearer, key } = options
    const url = nodes[node]?.url
    if (!url) return { status: 0, body: undefined }
    try {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(body ? { 'content-type': 'application/json' } : {}),
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
          ...(key ? { 'idempotency-key': key } : {}),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
        signal: AbortSignal.timeout(15_000),
      })
      const text = await response.text()
      return { status: response.status, body: text ? JSON.parse(text) : undefined }
    } catch {
      return { status: 0, body: undefined }
    }
  }

  async function isReady(node: number): Promise<boolean> {
    return (await call(node, 'GET', '/readyz')).body?.status === 'ready'
  }

  /** Resolves once Redis has everything that only the ledger had. */
  const reconciled = () =>
    eventually(async () => {
      const revocations = { tombstonedAt: null, endedAt: { not: null } }
      return (await db.session.count({ where: { OR: [revocations, { rotatedTo: { not: null } }] } })) === 0
    })

  return {
    db,
    redis,
    reconciled,
    redisServer,
    nodes,
    call,
    password: PASSWORD,

    async newUser() {
      const id = randomUUID()
      const email = `${id}@example.com`
      await db.user.create({ data: { id, email, passwordHash, emailVerifiedAt: new Date() } })
      return { id, email, password: PASSWORD }
    },

    /** Starts and connects everything, and waits until Redis has what it missed. */
    async heal(): Promise<void> {
      if (redis.status !== 'ready') await redisServer.restart('saved')
      for (const node of nodes) {
        await Promise.all([node.proxies.redis.heal(), node.proxies.postgres.heal()])
        if (!node.url) await node.start()
      }
      await eventually(async () => (await isReady(0)) && (await isReady(1)), 20_000)
      await reconciled()
    },

    /** The state of a family in both stores; undefined for Redis if it is missing there or cannot be read. */
    async stateOf(familyHash: string) {
      const row = await db.session.findUniqueOrThrow({ where: { familyHash: bytes(familyHash) } })
      const ledger = { generation: row.generation, rotatedAt: row.rotatedAt.getTime() }
      const hash = await redis.hgetall(redisKey(familyHash)).catch(() => ({}) as Record<string, string>)
      if (!hash.generation || hash.ended) return { ledger }
      const { generation, rotated_at, incarnation } = hash
      const info = await redis.info('replication').catch(() => '')
      const hot = incarnation !== '' && !hash.merge && info.includes(`master_replid:${incarnation}`)
      return { ledger, redis: { generation: Number(generation), rotatedAt: Number(rotated_at), hot } }
    },

    /** Moves everything stored `ms` into the past; false if a node could not flush its rotations. */
    async age(ms: number): Promise<boolean> {
      for (const node of nodes) if (node.url && !(await node.flush())) return false
      if (redis.status !== 'ready') return false
      for (const key of await redis.keys('rt:*')) {
        const stored = await redis.hgetall(key)
        if (stored.rotated_at) await redis.hset(key, earlierFields(stored, ms))
      }
      await db.$executeRaw`UPDATE sessions SET ${earlierColumns(ms)}`
      return true
    },

    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
      await close()
      await database.drop()
      await rm(inbox, { recursive: true, force: true })
    },
  }
}

export interface CallOptions {
  body?: unknown
  bearer?: string | undefined
  key?: string | undefined
}
