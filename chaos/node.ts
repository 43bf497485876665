import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createFaultProxy, type FaultProxy } from '../test/support/fault-proxy.ts'

const CHILD = fileURLToPath(new URL('./node.child.ts', import.meta.url))

export interface NodeOptions {
  name: string
  port: number
  env: Readonly<Record<string, string>>
  redisUrl: string
  postgresUrl: string
  /** The file that receives its log. */
  logFile: string
  /** Called when the node ends without having been stopped. */
  onCrash(code: number | null): void
}

/** A node of the cluster with its own links to the stores. */
export interface ClusterNode {
  readonly name: string
  readonly url: string
  readonly links: { redis: FaultProxy; postgres: FaultProxy }
  /** Resolves when the node serves. Retries while it cannot start, as an orchestrator does. */
  start(): Promise<void>
  /** `kill -9`. */
  kill(): Promise<void>
  /** Stops it in order, as on SIGTERM. */
  stop(): Promise<void>
  freeze(ms: number): void
  close(): Promise<void>
}

export async function createNode(options: NodeOptions): Promise<ClusterNode> {
  const links = {
    redis: await createFaultProxy({ target: options.redisUrl }),
    postgres: await createFaultProxy({ target: options.postgresUrl }),
  }
  const log = openSync(options.logFile, 'a')
  let child: ChildProcess | undefined
  let closing = false

  async function launch(): Promise<boolean> {
    const launched = fork(CHILD, {
      env: {
        PATH: process.env.PATH,
        ...options.env,
        PORT: String(options.port),
        REDIS_URL: links.redis.url,
        DATABASE_URL: links.postgres.url,
      },
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', log, log, 'ipc'],
    })
    child = launched
    const serves = await Promise.race([
      once(launched, 'message').then(() => true),
      once(launched, 'exit').then(() => false),
    ])
    if (serves) {
      launched.once('exit', (code) => {
        // `end` clears `child` first, so an exit while it is still set is a crash.
        if (child !== launched || closing) return
        options.onCrash(code)
        void start()
      })
    }
    return serves
  }

  async function start(): Promise<void> {
    while (!closing && !(await launch())) await sleep(300)
  }

  /** Clears `child` and ends the process, so that its exit does not count as a crash. */
  async function end(how: (running: ChildProcess) => void): Promise<void> {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const exited = once(running, 'exit')
    how(running)
    await exited
  }
  const kill = () => end((running) => void running.kill('SIGKILL'))

  return {
    name: options.name,
    url: `http://127.0.0.1:${options.port}`,
    links,
    start,
    kill,
    stop: () => end((running) => running.connected && running.disconnect()),
    freeze: (ms) => void (child?.connected && child.send(ms)),
    async close() {
      closing = true
      await kill()
      await Promise.all([links.redis.close(), links.postgres.close()])
    },
  }
}
