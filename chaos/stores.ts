import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { type Guarded, spawnGuarded } from '../src/dev/embedded/guard.ts'
import { freePort } from '../src/dev/embedded/port.ts'
import { type EmbeddedPostgres, startPostgres } from '../src/dev/embedded/postgres.ts'

const START_TIMEOUT = 15_000

/** A Redis on a fixed port that can be killed and come back with all of its data, with older data, or empty. */
export interface ChaosRedis {
  readonly url: string
  start(): Promise<void>
  /** `kill -9`: the next start loads the last snapshot, if there is one. */
  kill(): Promise<void>
  /** Stops it in order and saves all data. */
  shutDown(): Promise<void>
  snapshot(): Promise<void>
  dropSnapshot(): Promise<void>
  flush(): Promise<void>
  close(): Promise<void>
}

export async function createRedis(folder: string): Promise<ChaosRedis> {
  if (spawnSync('redis-server', ['--version']).status !== 0) throw new Error('chaos needs a redis-server')
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  const password = randomBytes(24).toString('base64url')
  const config = join(folder, 'redis.conf')
  const settings = [
    ...['bind 127.0.0.1', `port ${port}`, `requirepass ${password}`, 'save ""', 'appendonly no'],
    `dir "${folder}"`,
  ]
  await writeFile(config, settings.join('\n'), { mode: 0o600 })
  const url = `redis://:${password}@127.0.0.1:${port}`
  let server: Guarded | undefined
  let pid = 0

  async function administer<T>(task: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null })
    redis.on('error', () => {})
    try {
      await redis.connect()
      return await task(redis)
    } finally {
      redis.disconnect()
    }
  }
  const end = async (how: () => unknown) => {
    await how()
    await server?.ended
  }

  return {
    url,
    async start() {
      server = spawnGuarded(['redis-server', config])
      pid = await eventually('redis', async () => {
        const info = await administer((redis) => redis.info('server'))
        return Number(/process_id:(\d+)/.exec(info)?.[1])
      })
    },
    kill: () => end(() => process.kill(pid, 'SIGKILL')),
    shutDown: () => end(() => administer((redis) => redis.shutdown('SAVE')).catch(() => {})),
    snapshot: () => administer(async (redis) => void (await redis.save())),
    dropSnapshot: () => rm(join(folder, 'dump.rdb'), { force: true }),
    flush: () => administer(async (redis) => void (await redis.flushall())),
    close: async () => void (await server?.stop()),
  }
}

/** A durable Postgres that can be killed. Its port changes with every start. */
export interface ChaosPostgres {
  readonly url: string
  start(): Promise<void>
  /** `kill -9` of all its processes at once. */
  kill(): Promise<void>
  close(): Promise<void>
}

export async function createPostgres(folder: string): Promise<ChaosPostgres> {
  let server: EmbeddedPostgres = await startPostgres({ dir: folder })
  const lock = join(await dataDirectory(server.url), 'postmaster.pid')
  return {
    get url() {
      return server.url
    },
    async start() {
      server = await eventually('postgres', () => startPostgres({ dir: folder }))
    },
    async kill() {
      const postmaster = Number((await readFile(lock, 'utf8')).split('\n')[0])
      for (const pid of [postmaster, ...childrenOf(postmaster)]) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // The process has ended already.
        }
      }
      await server.stop()
    },
    close: () => server.stop(),
  }
}

async function dataDirectory(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query('SHOW data_directory')).rows[0].data_directory
  } finally {
    await client.end()
  }
}

function childrenOf(parent: number): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => {
    const [pid, ppid] = line.trim().split(/\s+/).map(Number)
    return ppid === parent && pid ? [pid] : []
  })
}

async function eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + START_TIMEOUT; ; await sleep(50)) {
    try {
      return await attempt()
    } catch (cause) {
      if (Date.now() > deadline) throw new Error(`${what} did not come back`, { cause })
    }
  }
}
