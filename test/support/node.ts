import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { TYPESCRIPT } from './compiled/typescript.ts'
import { createFaultProxy, type FaultProxy } from './fault-proxy.ts'

export type StoreName = 'postgres' | 'redis'

/** A node in a separate process, with a fault proxy for each store, that can be killed and restarted. */
export interface Node {
  readonly proxies: Record<StoreName, FaultProxy>
  /** Undefined while the node is down. */
  readonly url: string | undefined
  /** Writes the pending rotations to the ledger; false if that failed. */
  flush(): Promise<boolean>
  /** SIGSTOP: it stands still, and its connections stay open. */
  freeze(): void
  /** SIGCONT. */
  thaw(): void
  /** SIGKILL: everything that it had not written is lost. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

export interface NodeOptions {
  databaseUrl: string
  redisUrl: string
  env: Record<string, string>
}

export async function startNode(options: NodeOptions): Promise<Node> {
  const proxies = {
    postgres: await createFaultProxy({ target: options.databaseUrl }),
    redis: await createFaultProxy({ target: options.redisUrl }),
  }
  let child: ChildProcess | undefined
  let url: string | undefined
  let gone: Promise<never>

  async function start(): Promise<void> {
    child = fork(fileURLToPath(new URL('node.child.ts', import.meta.url)), {
      env: {
        PATH: process.env.PATH,
        ...options.env,
        DATABASE_URL: proxies.postgres.url,
        REDIS_URL: proxies.redis.url,
      },
      execArgv: TYPESCRIPT,
      stdio: ['ignore', 'ignore', process.env.MODEL_LOGS ? 'inherit' : 'ignore', 'ipc'],
    })
    gone = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the node ended: ${code}`)))
    gone.catch(() => {})
    const [message] = await Promise.race([once(child, 'message'), gone])
    url = (message as { url: string }).url
  }

  async function kill(): Promise<void> {
    const killed = child
    url = undefined
    child = undefined
    if (!killed || killed.exitCode !== null || killed.signalCode !== null) return
    killed.kill('SIGKILL')
    await once(killed, 'exit')
  }

  await start()
  return {
    proxies,
    get url() {
      return url
    },
    async flush() {
      if (!child?.connected) return false
      const answer = once(child, 'message').then(([message]) => (message as { flushed: boolean }).flushed)
      child.send('flush')
      return Promise.race([answer, gone.catch(() => false)])
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill,
    start,
    async stop() {
      await kill()
      await proxies.postgres.close()
      await proxies.redis.close()
    },
  }
}
