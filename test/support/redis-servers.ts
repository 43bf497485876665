import { spawnSync } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type Guarded, spawnGuarded } from '../../src/dev/embedded/guard.ts'
import { isListening } from '../../src/dev/embedded/port.ts'
import type { Certificates } from './certificates.ts'
import { eventually, until } from './eventually.ts'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

export interface RedisServer {
  readonly port: number
  /** The test's own client. */
  readonly client: Redis
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>
  /** SIGSTOP and SIGCONT: connections stay open, but nothing answers. */
  pause(): void
  resume(): void
  /** After `kill`: starts the same server again, without its data but with its knowledge of its peers. */
  start(): Promise<void>
  /** Restarts with the data of the last SAVE, or without data. A running server is killed first. */
  restart(from: 'saved' | 'empty'): Promise<void>
}

export interface RedisServerOptions {
  settings?: readonly string[]
  sentinel?: boolean
  /** What the settings have renamed INFO to. */
  info?: string
  /** A user other than the default one, who must be defined in `settings`. */
  username?: string
  tls?: Certificates | undefined
  /** Options of the test's own client. */
  client?: { enableOfflineQueue: boolean; retryStrategy: () => number }
}

const program = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0)

/** Why tests that need a real Redis are skipped; false if they are not. */
export const noRedis = program
  ? false
  : 'the JavaScript Redis has no replicas, clusters or TLS: install redis-server'

export const PASSWORD = randomBytes(24).toString('base64url')

/** A free port whose number plus 10000 is free too: the nodes of a cluster use that one among themselves. */
export async function freePortPair(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 22_000)
    if (!(await isListening(port)) && !(await isListening(port + 10_000))) return port
  }
}

/** A server on a free loopback port, in memory only, that requires `PASSWORD`. */
export async function startRedisServer(t: Teardown, options: RedisServerOptions = {}): Promise<RedisServer> {
  const port = await freePortPair()
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-redis-'))
  const file = join(folder, 'redis.conf')
  await writeFile(file, configuration(port, folder, options), { mode: 0o600 })
  const { tls } = options
  const client: Redis = new Redis({
    port,
    host: '127.0.0.1',
    password: PASSWORD,
    ...(options.username ? { username: options.username } : {}),
    lazyConnect: true,
    retryStrategy: () => 50,
    enableReadyCheck: options.info === undefined,
    ...options.client,
    ...(tls ? { tls: { ca: tls.ca, checkServerIdentity: () => undefined } } : {}),
  })
  client.on('error', () => {})
  let server: Guarded | undefined
  let pid = 0

  async function start() {
    server = spawnGuarded([program as string, file, ...(options.sentinel ? ['--sentinel'] : [])])
    const started = server
    await eventually(() => {
      if (!started.running) throw new Error(`${program} did not start`)
      return isListening(port)
    })
    await until('it answers', async () => {
      pid = Number(/process_id:(\d+)/.exec(String(await client.call(options.info ?? 'INFO', 'server')))?.[1])
      return true
    })
  }
  const signal = (name: NodeJS.Signals) => void process.kill(pid, name)

  t.teardown(async () => {
    client.disconnect()
    // A paused process would not receive the signal to end.
    if (server?.running) signal('SIGCONT')
    await server?.stop()
    await rm(folder, { recursive: true, force: true })
  })
  async function kill() {
    if (server?.running) signal('SIGKILL')
    await server?.ended
  }
  await start()
  return {
    port,
    client,
    start,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    kill,
    async restart(from) {
      await kill()
      if (from === 'empty') await rm(join(folder, 'dump.rdb'), { force: true })
      await start()
    },
  }
}

function configuration(port: number, folder: string, { settings = [], sentinel, tls }: RedisServerOptions) {
  const encrypted = tls && [
    'port 0',
    `tls-port ${port}`,
    `tls-cert-file "${tls.cert}"`,
    `tls-key-file "${tls.key}"`,
    `tls-ca-cert-file "${tls.caFile}"`,
    'tls-auth-clients no',
    'tls-replication yes',
  ]
  const lines = [
    'bind 127.0.0.1',
    ...(encrypted ?? [`port ${port}`]),
    `dir "${folder}"`,
    `requirepass ${PASSWORD}`,
    ...(sentinel
      ? []
      : [
          `masterauth ${PASSWORD}`,
          'save ""',
          'appendonly no',
          'repl-diskless-sync-delay 0',
          'repl-ping-replica-period 1',
        ]),
    ...settings,
  ]
  return `${lines.join('\n')}\n`
}
