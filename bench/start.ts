import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../src/dev/embedded/port.ts'
import { type Counted, startChild } from './child.ts'
import type { StoresEnvironment } from './stores.ts'

/** What it costs to start a node and to keep it running without requests. */
export interface StartCost {
  /** Milliseconds from the start of the process to the first 200 of `/readyz`, one entry per start. */
  readyMs: number[]
  /** Milliseconds of CPU time that the process had used by then, in all threads. */
  cpuMs: number[]
  /** Resident memory three seconds later, in MB (10^6 bytes). */
  rssMb: number[]
  /** Postgres statements per second of a node without requests. */
  statementsPerSecond: number
}

type Env = StoresEnvironment

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const POLL_MS = 5
const START_MS = 30_000
const SETTLE_MS = 3_000
// The kernel counts CPU time in hundredths of a second.
const MS_PER_TICK = 10

/** Starts the built server a few times, one after the other, as `npm start` does. The first start does not count. */
export async function measureStart(env: Env, starts: number, idleSeconds: number): Promise<StartCost> {
  const cost: StartCost = { readyMs: [], cpuMs: [], rssMb: [], statementsPerSecond: 0 }
  await measureOne(env)
  for (let start = 0; start < starts; start++) {
    const { readyMs, cpuMs, rssMb } = await measureOne(env)
    cost.readyMs.push(readyMs)
    cost.cpuMs.push(cpuMs)
    cost.rssMb.push(rssMb)
  }
  cost.statementsPerSecond = await countIdleStatements(env, idleSeconds)
  return cost
}

async function measureOne(env: Env) {
  const port = await freePort()
  const url = `http://localhost:${port}`
  const began = performance.now()
  const server = spawn(process.execPath, ['--max-semi-space-size=32', 'dist/server.js'], {
    cwd: ROOT,
    env: productionOf(env, port, url),
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = once(server, 'exit')
  try {
    while (!(await isReady(port))) {
      if (server.exitCode !== null) throw new Error(`the server ended with code ${server.exitCode}`)
      if (performance.now() > began + START_MS) throw new Error('the server did not become ready')
      await sleep(POLL_MS)
    }
    const readyMs = performance.now() - began
    const cpuMs = await cpuOf(server.pid)
    await sleep(SETTLE_MS)
    return { readyMs, cpuMs, rssMb: await memoryOf(server.pid) }
  } finally {
    server.kill('SIGTERM')
    await exited
  }
}

/** The stores' environment as production knows it. The JavaScript Redis has no replication id: production refuses it. */
function productionOf(env: Env, port: number, url: string): Record<string, string> {
  const { NODE_ENV: _, RATE_LIMITS: __, INBOX_DIR: ___, ...rest } = env
  return {
    ...('REDIS_INCARNATION' in env ? { NODE_ENV: 'test' } : {}),
    ...rest,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    PUBLIC_URL: url,
    SMTP_URL: 'smtp://127.0.0.1:1',
    MAIL_FROM: 'Ratchet <no-reply@example.com>',
  }
}

const isReady = (port: number) =>
  fetch(`http://127.0.0.1:${port}/readyz`).then(
    async (response) => {
      await response.arrayBuffer()
      return response.status === 200
    },
    () => false,
  )

/** CPU time of a process so far, in milliseconds (proc_pid_stat(5), fields 14 and 15). */
async function cpuOf(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK
}

/** Resident memory of a process, in MB (proc_pid_status(5)). */
async function memoryOf(pid: number | undefined): Promise<number> {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  return (Number(kib) * 1_024) / 1e6
}

async function countIdleStatements(env: Env, seconds: number): Promise<number> {
  const app = await startChild('./app.child.ts', env)
  try {
    await sleep(SETTLE_MS)
    await app.ask<null>({ about: 'count' })
    await sleep(seconds * 1_000)
    const { statements, polls } = await app.ask<Counted>({ about: 'counted' })
    return (statements + polls) / seconds
  } finally {
    await app.stop()
  }
}
