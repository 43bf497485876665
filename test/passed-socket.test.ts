import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type ConfigError, loadConfig } from '../src/config.ts'
import { TYPESCRIPT } from './support/compiled/typescript.ts'
import { createTestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { redisUrl } from './support/redis.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OWNER = fileURLToPath(new URL('support/socket-owner.mjs', import.meta.url))
const SERVER = [...TYPESCRIPT, 'src/server.ts']

const database = await createTestDatabase()
t.teardown(() => database.drop())
const ENV = {
  PATH: process.env.PATH,
  NODE_ENV: 'test',
  DATABASE_URL: database.url,
  REDIS_URL: redisUrl,
  REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION,
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  BREACHED_PASSWORDS_URL: 'off',
  // Nobody may listen on it, as no address of a network has it.
  HOST: '127.0.0.1',
  PORT: '1',
  METRICS_PORT: '',
  DRAIN_SECONDS: '2',
}

t.test('a restart under load loses no request: the socket is not the server', async (t) => {
  const owner = spawn(process.execPath, [OWNER, '2', ...SERVER], {
    cwd: ROOT,
    env: ENV,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  owner.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  const found = (pattern: RegExp) => [...output.matchAll(pattern)].map(([, value]) => Number(value))
  const pids = () => found(/^pid (\d+)$/gm)
  const stop = (pid: number | undefined) => process.kill(pid as number, 'SIGTERM')
  const ended = once(owner, 'close')
  t.teardown(() => {
    owner.kill()
    for (const pid of pids()) spawnSync('kill', [`${pid}`])
  })
  await eventually(() => pids().length === 1)
  const [port] = found(/^port (\d+)$/gm)

  // Before the server is up, too. Some clients make a connection for each request, others keep theirs, as proxies do.
  const kept = new Agent({ keepAlive: true })
  t.teardown(() => kept.destroy())
  const answers: unknown[] = []
  let isOver = false
  const client = async (agent: Agent | false) => {
    while (!isOver) {
      const sent = request({ host: '127.0.0.1', port, path: '/healthz', agent }).end()
      answers.push(
        await once(sent, 'response').then(
          ([response]) => response.resume().statusCode,
          (error) => error.code,
        ),
      )
    }
  }
  const clients = Promise.all([...Array(8).fill(false), ...Array(8).fill(kept)].map(client))
  await eventually(() => answers.length > 100)
  const lines = () => output.match(/^\{.*\}$/gm)?.map((line) => JSON.parse(line)) ?? []
  t.match(
    lines().filter(({ msg }) => /socket/.test(msg)),
    [{ level: 'info', address: '127.0.0.1', port }],
    'the log says that PORT is not used',
  )

  stop(pids()[0])
  await eventually(() => pids().length === 2)
  const before = answers.length
  await eventually(() => answers.length > before + 100)
  isOver = true
  await clients
  t.strictSame([...new Set(answers)], [200])
  stop(pids()[1])
  t.strictSame(await ended, [0, null])
})

t.test('what is no TCP socket is a fault at the start', async (t) => {
  const script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
  const { status, stderr } = spawnSync('sh', ['-c', script, 'sh', process.execPath, ...SERVER], {
    cwd: ROOT,
    env: ENV,
    stdio: ['ignore', 'ignore', 'pipe', openSync('/dev/null', 'r')],
    encoding: 'utf8',
  })
  t.equal(status, 1)
  t.match(
    stderr,
    /^LISTEN_FDS: what systemd passed on is no TCP socket to listen on \(\w+\): .*ListenStream.*\n$/,
  )
})

t.test(
  'several sockets are a fault of the configuration, and those of another process are left alone',
  async (t) => {
    const passedSocket = (env: Record<string, string>) => {
      try {
        return loadConfig({ ...ENV, ...env }).passedSocket
      } catch (error) {
        return (error as ConfigError).faults
      }
    }
    const LISTEN_PID = `${process.pid}`
    t.equal(passedSocket({}), undefined)
    t.equal(passedSocket({ LISTEN_FDS: '1', LISTEN_PID }), 3)
    t.match(passedSocket({ LISTEN_FDS: '2', LISTEN_PID }), [/^LISTEN_FDS must be 1/])
    t.equal(passedSocket({ LISTEN_FDS: '2', LISTEN_PID: '1' }), undefined)
    t.equal(passedSocket({ LISTEN_FDS: '1' }), undefined)
  },
)

t.test('a server whose shell got the socket says so, and listens on its port', async (t) => {
  const env = {
    ...ENV,
    PORT: '0',
    LISTEN_FDS: '1',
    LISTEN_PID: '1',
    LOG_LEVEL: 'info',
  }
  const child = spawn(process.execPath, SERVER, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] })
  let log = ''
  child.stdout.on('data', (chunk) => {
    log += chunk
  })
  t.teardown(async () => {
    child.kill()
    await once(child, 'exit')
  })
  await eventually(() => /Server listening/.test(log))
  t.match(log, /"event":"socket_of_another"/)
})
