import { spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnGuarded } from './guard.ts'
import { freePort, isListening } from './port.ts'

export interface EmbeddedRedis {
  /** May contain a password: do not log it. */
  url: string
  description: string
  /** Set if the server reports no replication id; new with every start. */
  incarnation?: string
  stop(): Promise<void>
}

const START_TIMEOUT = 10_000

/** Starts a Redis for development and tests: an installed binary if there is one, else one in JavaScript. */
export async function startRedis(): Promise<EmbeddedRedis> {
  const program = ['redis-server', 'valkey-server'].find(
    (name) => spawnSync(name, ['--version']).status === 0,
  )
  return program ? startBinary(program) : startJavaScript()
}

async function startBinary(program: string): Promise<EmbeddedRedis> {
  const port = await freePort()
  const password = randomBytes(24).toString('base64url')
  // A file, because every user of the machine can read the arguments of a process.
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-redis-'))
  const config = join(folder, 'redis.conf')
  await writeFile(
    config,
    `bind 127.0.0.1\nport ${port}\nrequirepass ${password}\nsave ""\nappendonly no\ndir "${tmpdir()}"\n`,
    { mode: 0o600 },
  )
  const server = spawnGuarded([program, config])
  try {
    const deadline = Date.now() + START_TIMEOUT
    while (!(await isListening(port))) {
      if (!server.running || Date.now() > deadline) {
        await server.stop()
        throw new Error(`${program} did not start`)
      }
      await sleep(10)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    description: `${program} on 127.0.0.1:${port}, in memory only`,
    stop: () => server.stop(),
  }
}

/** Exported to test what machines without Redis use. */
export async function startJavaScript(): Promise<EmbeddedRedis> {
  const { createRedisMock } = await import('js-redis-server')
  const server = await createRedisMock({ compatibility: 'redis-7.0' })
  return {
    url: `redis://127.0.0.1:${server.port}`,
    description: `js-redis-server on 127.0.0.1:${server.port}, in memory only`,
    incarnation: randomUUID(),
    stop: () => server.close(),
  }
}
