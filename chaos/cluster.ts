import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../src/dev/embedded/port.ts'
import { applyMigrations, MIGRATIONS } from '../src/platform/migrations.ts'
import { send } from './http.ts'
import { type ClusterNode, createNode } from './node.ts'
import { type ChaosPostgres, type ChaosRedis, createPostgres, createRedis } from './stores.ts'

/** The public URL of all nodes, as cookies and issuers use it. */
export const PUBLIC_URL = 'http://localhost:8080'
export const COOKIE = 'ratchet-dev'

export interface Cluster {
  readonly nodes: readonly ClusterNode[]
  readonly redis: ChaosRedis
  readonly postgres: ChaosPostgres
  readonly env: Readonly<Record<string, string>>
  readonly inboxDir: string
  restartPostgres(): Promise<void>
  /** Repairs all links and waits until every node is ready; false if one is not ready in time. */
  recovered(timeoutMs: number): Promise<boolean>
}

export interface ClusterOptions {
  nodes: number
  /** Seconds. */
  grace: number
  keep: boolean
  onEnd(close: () => Promise<unknown>): void
  onCrash(node: string, code: number | null): void
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-chaos-'))
  if (options.keep) console.log(`logs and data stay in ${folder}`)
  else options.onEnd(() => rm(folder, { recursive: true, force: true }))
  // If Postgres has to run as another user, that user must be able to reach its data.
  await chmod(folder, 0o755)
  const postgres = await createPostgres(join(folder, 'postgres'))
  options.onEnd(() => postgres.close())
  const redis = await createRedis(join(folder, 'redis'))
  options.onEnd(() => redis.close())
  await redis.start()
  await applyMigrations(postgres.url, MIGRATIONS)
  const inboxDir = join(folder, 'inbox')
  const env = {
    // Cheap password hashes, and a grace window short enough to wait for; the rest is as in production.
    NODE_ENV: 'test',
    ARGON2_MEMORY_KIB: '1024',
    ARGON2_ITERATIONS: '1',
    REFRESH_GRACE: String(options.grace),
    RATE_LIMITS: 'false',
    BREACHED_PASSWORDS_URL: 'off',
    PUBLIC_URL,
    APP_SECRETS: randomBytes(32).toString('base64url'),
    INBOX_DIR: inboxDir,
    LOG_LEVEL: 'warn',
  }
  const nodes: ClusterNode[] = []
  for (let number = 1; number <= options.nodes; number++) {
    const name = `node-${number}`
    const node = await createNode({
      ...{ name, env, port: await freePort(), logFile: join(folder, `${name}.log`) },
      ...{ redisUrl: redis.url, postgresUrl: postgres.url },
      onCrash: (code) => options.onCrash(name, code),
    })
    options.onEnd(() => node.close())
    nodes.push(node)
  }
  await Promise.all(nodes.map((node) => node.start()))

  async function isReady(node: ClusterNode): Promise<boolean> {
    return (await send(node.url, { method: 'GET', path: '/readyz' })).status === 200
  }

  return {
    nodes,
    redis,
    postgres,
    env,
    inboxDir,
    async restartPostgres() {
      await postgres.start()
      for (const node of nodes) node.links.postgres.retarget(postgres.url)
    },
    async recovered(timeoutMs) {
      await Promise.all(nodes.flatMap(({ links }) => [links.redis.heal(), links.postgres.heal()]))
      for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(200)) {
        if ((await Promise.all(nodes.map(isReady))).every(Boolean)) return true
      }
      return false
    },
  }
}
