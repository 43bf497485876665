import { spawnSync } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type Guarded, spawnGuarded } from '../../src/dev/embedded/guard.ts'
import { isListening } from '../../src/dev/embedded/port.ts'
import type { Certificates } from './certificates.ts'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

export interface RedisServer {
  readonly port: number
  /** For the test's own commands. */
  readonly client: Redis
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGSTOP and SIGCONT: connections stand, and nothing answers. */
  pause(): void
  resume(): void
  /** After `kill`: the same server again, without its data but with what it knows of its peers. */
  start(): Promise<void>
}

export interface RedisServerOptions {
  settings?: readonly string[]
  sentinel?: boolean
  /** Somebody else than the default user, who then has to be in `settings`. */
  username?: string
  tls?: Certificates | undefined
}

const program = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0)

/** Why tests that need a real Redis are skipped; false when they are not. */
export const noRedis = program
  ? false
  : 'the JavaScript Redis has no replicas, clusters or TLS: install redis-server'

export const PASSWORD = randomBytes(24).toString('base64url')
const START_MS = 10_000

/** Polls until the condition holds. */
export async function until(what: string, condition: () => Promise<boolean>, ms = 20_000): Promise<void> {
  for (const deadline = Date.now() + ms; !(await condition().catch(() => false)); await sleep(25)) {
    if (Date.now() > deadline) throw new Error(`in vain: ${what}`)
  }
}

/** A port that is free together with the one 10000 above, which a cluster's nodes use among themselves. */
export async function freePortPair(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 22_000)
    if (!(await isListening(port)) && !(await isListening(port + 10_000))) return port
  }
}

/** A server on a free loopback port, in memory only, that wants `PASSWORD`. */
export async function startRedisServer(t: Teardown, options: RedisServerOptions = {}): Promise<RedisServer> {
  const port = await freePortPair()
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-redis-'))
  const file = join(folder, 'redis.conf')
  await writeFile(file, configuration(port, folder, options), { mode: 0o600 })
  const { tls } = options
  const client = new Redis({
    port,
    host: '127.0.0.1',
    password: PASSWORD,
    ...(options.username ? { username: options.username } : {}),
    lazyConnect: true,
    retryStrategy: () => 50,
    ...(tls ? { tls: { ca: tls.ca, checkServerIdentity: () => undefined } } : {}),
  })
  client.on('error', () => {})
  let server: Guarded | undefined
  let pid = 0

  async function start() {
    server = spawnGuarded([program as string, file, ...(options.sentinel ? ['--sentinel'] : [])])
    const started = server
    await until(
      `start ${program}`,
      async () => {
        if (!started.running) throw new Error(`${program} did not start`)
        return isListening(port)
      },
      START_MS,
    )
    pid = Number(/process_id:(\d+)/.exec(String(await client.info('server')))?.[1])
  }
  const signal = (name: NodeJS.Signals) => void process.kill(pid, name)

  t.teardown(async () => {
    client.disconnect()
    // A paused process would not hear that it has to end.
    if (server?.running) signal('SIGCONT')
    await server?.stop()
    await rm(folder, { recursive: true, force: true })
  })
  await start()
  return {
    port,
    client,
    start,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async kill() {
      signal('SIGKILL')
      await server?.ended
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
