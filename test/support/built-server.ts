import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/dev/embedded/port.ts'
import { type Caller, createCaller } from './caller.ts'
import { eventually } from './eventually.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface BuiltServer extends Caller {
  url: string
  /** Complete lines of its log. */
  lines(): Record<string, unknown>[]
  /** Sends its process a signal. */
  signal(name: NodeJS.Signals): void
  /** Stops it as an operator does. @returns its exit code. */
  stop(): Promise<number | null>
}

interface BuiltServerOptions {
  nodeOptions?: readonly string[]
  /** Has `dist/`; this project by default. */
  folder?: string
  port?: number
}

// On a busy machine, and beside others that start.
const START_MS = 60_000

/** `dist/server.js` in a process of its own, as `npm run build` left it. */
export async function startBuiltServer(
  t: { teardown(end: () => Promise<unknown>): void },
  env: Record<string, string>,
  { nodeOptions = [], folder = ROOT, ...options }: BuiltServerOptions = {},
): Promise<BuiltServer> {
  const port = options.port ?? (await freePort())
  const url = `http://127.0.0.1:${port}`
  const server = spawn(process.execPath, ['--max-semi-space-size=32', ...nodeOptions, 'dist/server.js'], {
    cwd: folder,
    env: {
      NODE_ENV: 'test',
      HOST: '127.0.0.1',
      PORT: `${port}`,
      PUBLIC_URL: url,
      DRAIN_SECONDS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let log = ''
  server.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk
  })
  const ended = once(server, 'close').then(([code]) => code as number | null)
  const stop = () => {
    server.kill('SIGTERM')
    return ended
  }
  t.teardown(stop)
  const caller = createCaller(url, () => {})
  const ready = async () => {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}: ${log}`)
    return (await caller.call('GET', '/readyz').catch(() => undefined))?.status === 200
  }
  await eventually(ready, START_MS)
  return {
    ...caller,
    url,
    lines: () =>
      log
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    signal: (name) => void server.kill(name),
    stop,
  }
}
