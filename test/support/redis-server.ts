import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type Guarded, spawnGuarded } from '../../src/dev/embedded/guard.ts'
import { freePort, isListening } from '../../src/dev/embedded/port.ts'

/** A redis-server of the test's own, which can lose what it knows. */
export interface RedisServer {
  readonly url: string
  readonly redis: Redis
  /** What a later `rollBack` comes back with. */
  save(): Promise<void>
  /** SIGKILL, whatever is under way. */
  kill(): Promise<void>
  /** With what was saved last, or with nothing. A server that runs is killed first. */
  restart(from: 'saved' | 'empty'): Promise<void>
  stop(): Promise<void>
}

export async function startRedisServer(): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), 'ratchet-redis-'))
  const port = await freePort()
  const arguments_ = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', dir, '--save', '']
  let server: Guarded
  let pid = 0
  const redis = new Redis(port, '127.0.0.1', {
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    retryStrategy: () => 20,
  })
  redis.on('error', () => {})

  async function start(): Promise<void> {
    server = spawnGuarded(['redis-server', ...arguments_])
    const deadline = Date.now() + 10_000
    while (!(await isListening(port)) || redis.status !== 'ready') {
      if (!server.running || Date.now() > deadline) throw new Error('redis-server did not start')
      await sleep(10)
    }
    pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1])
  }

  async function kill(): Promise<void> {
    if (!server.running) return
    process.kill(pid, 'SIGKILL')
    await server.ended
  }

  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    redis,
    async save() {
      await redis.save()
    },
    kill,
    async restart(from) {
      await kill()
      if (from === 'empty') await rm(join(dir, 'dump.rdb'), { force: true })
      await start()
    },
    async stop() {
      redis.disconnect()
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
