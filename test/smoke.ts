// Starts the build as the image does, then signs up and in over HTTP, with mail over SMTP, and runs commands.
//   smoke.ts [<folder with dist/ and node_modules/> [<node>]]
//   smoke.ts --image <name of an image of Podman>
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'
import { freePort } from '../src/dev/embedded/port.ts'
import { startPostgres } from '../src/dev/embedded/postgres.ts'
import { startRedis } from '../src/dev/embedded/redis.ts'
import { inContainer } from './smoke/container.ts'
import { inFolder } from './smoke/program.ts'
import { eventually } from './support/eventually.ts'

const START_TIMEOUT = 30_000
// What docs/deployment.md promises, without a drain.
const MAX_STOP_MS = 15_000
// The aim is 150 (docs/performance.md). On a busy machine less garbage has been collected by then.
const MAX_MEMORY_MB = 160
const ACCOUNT = { email: 'ann@example.com', password: 'a perfectly long passphrase' }

const [target = '.', detail] = process.argv.slice(2)
const program =
  target === '--image'
    ? inContainer(detail ?? 'ratchet')
    : inFolder(resolve(target), detail ?? process.execPath)
const closers: (() => Promise<unknown>)[] = []
try {
  await smoke()
  console.log(`${program.name}: signed up and in`)
} finally {
  for (const close of closers.reverse()) await close()
}

async function smoke(): Promise<void> {
  const mails = await receiveMail()
  const { url, end, ratchet } = await startServer(mails.url)
  const call = async (method: string, path: string, status: number, body?: unknown, bearer?: string) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const answer = await response.text()
    assert.equal(response.status, status, `${method} ${path}: ${answer}`)
    return answer.startsWith('{') ? JSON.parse(answer) : answer
  }

  await call('POST', '/auth/register', 202, { ...ACCOUNT, name: 'Ann' })
  await eventually(() => mails.tokens.length > 0)
  await call('POST', '/auth/verify-email', 200, { token: mails.tokens[0], password: ACCOUNT.password })
  const tokens = await call('POST', '/auth/login', 200, { ...ACCOUNT, transport: 'body' })
  const refreshed = await call('POST', '/auth/refresh', 200, { refresh_token: tokens.refresh_token })
  const me = await call('GET', '/me', 200, undefined, refreshed.access_token)
  assert.equal(me.email, ACCOUNT.email)
  await call('GET', '/docs/', 200)
  await call('GET', '/dev/inbox', 404)
  assert.match(ratchet('users', 'list', '--json'), /"email":"ann@example\.com"/)
  assert.equal(ratchet('migrate', '--check', '--json'), '')
  program.checkHealth()
  assert.equal(await end(), 0, 'the server did not exit cleanly')
}

/** An SMTP server that keeps the tokens of the links in the mails it gets. */
async function receiveMail() {
  const tokens: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    async onData(stream, _session, done) {
      const unfolded = (await text(stream)).replace(/=\r\n/g, '').replaceAll('=3D', '=')
      const token = /token=([\w-]+)/.exec(unfolded)?.[1]
      if (token) tokens.push(token)
      done()
    },
  })
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  closers.push(() => new Promise<void>((done) => server.close(done)))
  return { tokens, url: `smtp://127.0.0.1:${(listening.address() as AddressInfo).port}` }
}

/** Resident memory of a process, in MB (10^6 bytes); NaN where there is no /proc. */
async function residentMb(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024) / 1e6
}

async function startServer(smtpUrl: string) {
  const data = await mkdtemp(join(tmpdir(), 'ratchet-smoke-'))
  closers.push(() => rm(data, { recursive: true, force: true }))
  // If Postgres has to run as another user, that user needs access to its data.
  await chmod(data, 0o755)
  const postgres = await startPostgres({ dir: join(data, 'postgres'), durable: false })
  closers.push(() => postgres.stop())
  const redis = await startRedis()
  closers.push(() => redis.stop())
  const port = await freePort()
  const url = `http://localhost:${port}`
  const env = {
    // The JavaScript Redis has no replication id, so production does not trust it.
    ...(redis.incarnation ? { NODE_ENV: 'test', REDIS_INCARNATION: redis.incarnation } : {}),
    HOST: '127.0.0.1',
    PORT: `${port}`,
    PUBLIC_URL: url,
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    APP_SECRETS: randomBytes(32).toString('base64url'),
    SMTP_URL: smtpUrl,
    DRAIN_SECONDS: '0',
    MAIL_FROM: 'Ratchet <no-reply@example.com>',
    BREACHED_PASSWORDS_URL: 'off',
    LOG_LEVEL: 'warn',
  }
  // Commands need no more than this.
  const ratchet = (...args: string[]) => program.ratchet(args, { DATABASE_URL: postgres.url })
  assert.throws(() => ratchet('migrate', '--check'), { status: 1 }, 'nothing was pending')
  ratchet('migrate')
  const own = join(data, 'program')
  await mkdir(own)
  const server = await program.serve(env, own)
  const ended = once(server, 'exit').then(([code]) => code as number | null)
  const end = async () => {
    server.kill('SIGTERM')
    const late = setTimeout(() => program.kill(server), MAX_STOP_MS)
    return ended.finally(() => clearTimeout(late))
  }
  closers.push(end)
  const ready = async () => {
    assert.equal(server.exitCode, null, 'the server ended')
    return (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200
  }
  await eventually(ready, START_TIMEOUT)
  let memory = Number.NaN
  const isSmall = async () => {
    memory = await residentMb(program.pid(server))
    return !(memory > MAX_MEMORY_MB)
  }
  // What only the start needed is collected a little later.
  await eventually(isSmall, START_TIMEOUT).catch(() =>
    assert.fail(`the server takes ${memory} MB after its start`),
  )
  return { url, end, ratchet }
}
