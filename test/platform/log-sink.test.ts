import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { freePort, isListening } from '../../src/dev/embedded/port.ts'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { createTestDatabase } from '../support/database.ts'
import { eventually, until } from '../support/eventually.ts'
import { redisUrl } from '../support/redis.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SERVER = [process.execPath, ...TYPESCRIPT, join(ROOT, 'src/server.ts')]
const DEV = [process.execPath, ...TYPESCRIPT, join(ROOT, 'src/dev/main.ts')]
const NO_TERMINAL = spawnSync('script', ['--version']).status === 0 ? false : 'util-linux is not installed'

interface Teardown {
  teardown(end: () => unknown): void
}
interface Assertions {
  ok(found: unknown, message: string): unknown
}

/** A file system of 64 KiB, or else a device that is always full. */
function fullDisk(folder: string): { log: string; free?: () => void; end(): void } {
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status === 0
  if (!mounted) return { log: '/dev/full', end() {} }
  writeFileSync(join(folder, 'other'), Buffer.alloc(48 * 1024))
  return {
    log: join(folder, 'log'),
    free() {
      rmSync(join(folder, 'other'))
      execFileSync('mount', ['-o', 'remount,size=64m', folder])
    },
    end: () => void execFileSync('umount', [folder]),
  }
}

async function environment(t: Teardown) {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const [port, metricsPort] = [await freePort(), await freePort()]
  const incarnation = process.env.TEST_REDIS_INCARNATION
  const env = {
    PATH: process.env.PATH,
    ...(incarnation ? { NODE_ENV: 'test', REDIS_INCARNATION: incarnation } : {}),
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl,
    APP_SECRETS: 'a-secret-for-production-of-32-bytes-or-more',
    SMTP_URL: 'smtp://127.0.0.1:1',
    MAIL_FROM: 'Ratchet <no-reply@example.com>',
    HOST: '127.0.0.1',
    PUBLIC_URL: `http://localhost:${port}`,
    PORT: `${port}`,
    METRICS_PORT: `${metricsPort}`,
  }
  return { env, url: `http://127.0.0.1:${port}`, metrics: `http://127.0.0.1:${metricsPort}/metrics` }
}

const serves = (url: string) =>
  until('the server is ready', async () => (await fetch(`${url}/readyz`)).status === 200)

const dropped = async (metrics: string) =>
  Number(/^ratchet_dropped_total\{queue="log"\} (\d+)$/m.exec(await (await fetch(metrics)).text())?.[1] ?? 0)

const CONNECTIONS = 25
// As many as a client may send without waiting.
const PIPELINED = 10
const REQUEST = 'GET /a-page-that-is-not-there HTTP/1.1\r\nHost: localhost\r\n\r\n'
const ANSWER = 'HTTP/1.1 404 '

/** Makes requests, all of which have to be answered, until log lines are lost. */
async function askUntilDropped(t: Assertions, url: string, metrics: string): Promise<void> {
  const { hostname, port } = new URL(url)
  let answered = 0
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    let rest = ''
    return connect(Number(port), hostname).on('data', (chunk) => {
      const parts = (rest + chunk).split(ANSWER)
      answered += parts.length - 1
      // The beginning of an answer may be in two pieces.
      rest = (parts.at(-1) ?? '').slice(1 - ANSWER.length)
    })
  })
  let asked = 0
  while ((await dropped(metrics)) === 0) {
    for (const socket of sockets) socket.write(REQUEST.repeat(PIPELINED))
    asked += CONNECTIONS * PIPELINED
    await eventually(() => answered === asked)
  }
  for (const socket of sockets) socket.destroy()
  t.ok(asked > CONNECTIONS * PIPELINED, `${asked} requests were answered`)
}

t.test('a full disk loses lines, which are counted, and stops nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-log-'))
  const disk = fullDisk(folder)
  const { env, url, metrics } = await environment(t)
  const file = openSync(disk.log, 'a')
  const child = spawn(SERVER[0] as string, SERVER.slice(1), { cwd: ROOT, env, stdio: ['ignore', file, file] })
  closeSync(file)
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    disk.end()
    await rm(folder, { recursive: true })
  })
  await serves(url)
  await askUntilDropped(t, url, metrics)
  if (disk.free) {
    disk.free()
    const parsed = () =>
      readFileSync(disk.log, 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    const told = () => parsed().filter(({ event }) => event === 'log_lines_lost')
    await until('it says how many are lost', async () => {
      const lost = told().reduce((sum, line) => sum + line.lost, 0)
      return lost > 0 && lost === (await dropped(metrics))
    })
    t.match(told()[0], { level: 'error', msg: 'the log can be written again' })
    t.ok(parsed().length > 1_000, 'what could wait was written, each line whole')
  } else t.comment('no file system could be mounted: /dev/full stood in for it')
  child.kill('SIGTERM')
  t.strictSame(await ended, [0, null])
})

t.test('a reader that has stopped reading does not stop the server', async (t) => {
  const { env, url, metrics } = await environment(t)
  const child = spawn(SERVER[0] as string, SERVER.slice(1), {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  await serves(url)
  await askUntilDropped(t, url, metrics)
  let text = ''
  child.stdout?.on('data', (part) => (text += part))
  await eventually(() => text.includes('log_lines_lost'))
  for (const line of text.split('\n').slice(0, -1)) t.match(JSON.parse(line).msg, /./)
  child.stdout?.pause()
  child.kill('SIGTERM')
  t.strictSame(await ended, [0, null])
})

/** Starts a command on a terminal that is not its own: closing it sends no signal, and writes then fail with EIO. */
async function startOnTerminal(t: Teardown, command: string[], cwd: string, env: NodeJS.ProcessEnv) {
  const pidFile = join(cwd, 'pid')
  const inner = `echo $$ > ${pidFile}; exec ${command.map((word) => `'${word}'`).join(' ')}`
  const terminal = spawn(
    'script',
    ['-qfec', `setsid sh -c "${inner.replaceAll('$', '\\$')}"; sleep 600`, '/dev/null'],
    {
      cwd,
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
    },
  )
  terminal.stdout?.resume()
  const pid = () => Number(readFileSync(pidFile, 'utf8'))
  const isRunning = () => {
    try {
      process.kill(pid(), 0)
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid()}/status`, 'utf8'))
    } catch {
      return false
    }
  }
  t.teardown(() => {
    terminal.kill('SIGKILL')
    if (isRunning()) process.kill(pid(), 'SIGKILL')
  })
  return {
    signal: (name: NodeJS.Signals) => process.kill(pid(), name),
    isRunning,
    close: () => closed(terminal),
  }
}

async function closed(terminal: ChildProcess): Promise<void> {
  const ended = once(terminal, 'exit')
  terminal.kill('SIGKILL')
  await ended
}

t.test('a closed terminal does not stop the server', { skip: NO_TERMINAL }, async (t) => {
  const { env, url, metrics } = await environment(t)
  const server = await startOnTerminal(t, SERVER, t.testdir(), env)
  await serves(url)
  await server.close()
  await askUntilDropped(t, url, metrics)
  server.signal('SIGTERM')
  await eventually(() => !server.isRunning())
  t.notOk(await isListening(Number(env.PORT)))
})

t.test(
  'the development server ends in order on a closed terminal, and its Postgres with it',
  { skip: NO_TERMINAL },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-terminal-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const port = await freePort()
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: `${port}` }
    const server = await startOnTerminal(t, DEV, folder, env)
    const url = `http://127.0.0.1:${port}`
    await serves(url)
    const [postgres, , , postgresPort] = readFileSync(
      join(folder, '.data/postgres/data/postmaster.pid'),
      'utf8',
    ).split('\n')
    t.ok(await isListening(Number(postgresPort)), `Postgres runs as ${postgres}`)
    await server.close()
    await askUntilDropped(t, url, `${url}/metrics`)
    server.signal('SIGTERM')
    await eventually(() => !server.isRunning())
    await eventually(async () => !(await isListening(Number(postgresPort))))
    t.notOk(await isListening(port))
  },
)
