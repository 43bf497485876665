// Starts the build as the image does, then signs up and in over HTTP, with mail over SMTP.
//   smoke.ts [<folder with dist/ and node_modules/> [<node>]]
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'
import { freePort } from '../src/dev/embedded/port.ts'
import { startPostgres } from '../src/dev/embedded/postgres.ts'
import { startRedis } from '../src/dev/embedded/redis.ts'
import { eventually } from './support/eventually.ts'

const START_TIMEOUT = 30_000
// The aim is 150 (docs/performance.md). On a busy machine less garbage has been collected by then.
const MAX_MEMORY_MB = 160
const ACCOUNT = { email: 'ann@example.com', password: 'a perfectly long passphrase' }

const folder = resolve(process.argv[2] ?? '.')
const node = process.argv[3] ?? process.execPath
const closers: (() => Promise<unknown>)[] = []
try {
  await smoke()
  console.log(
    `dist/ on Node ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}: signed up and in`,
  )
} finally {
  for (const close of closers.reverse()) await close()
}

async function smoke(): Promise<void> {
  assert.ok(!existsSync(join(folder, 'dist/dev')), 'dist/ contains the development server')
  const mails = await receiveMail()
  const { url, end } = await startServer(mails.url)
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
  // As init systems may start it: through a link, whose name has no extension.
  const link = join(data, 'ratchet')
  await symlink(join(folder, 'dist/server.js'), link)
  const command = [join(folder, 'dist/cli/main.js'), 'migrate']
  execFileSync(node, command, { env: { DATABASE_URL: postgres.url }, stdio: 'ignore' })
  const server = spawn(node, ['--max-semi-space-size=32', link], {
    cwd: folder,
    env: {
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
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = once(server, 'exit').then(([code]) => code as number | null)
  const end = () => {
    server.kill('SIGTERM')
    return ended
  }
  closers.push(end)
  const ready = async () => {
    assert.equal(server.exitCode, null, 'the server ended')
    return (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200
  }
  await eventually(ready, START_TIMEOUT)
  let memory = Number.NaN
  const isSmall = async () => {
    memory = await residentMb(server.pid)
    return !(memory > MAX_MEMORY_MB)
  }
  // What only the start needed is collected a little later.
  await eventually(isSmall, START_TIMEOUT).catch(() =>
    assert.fail(`the server takes ${memory} MB after its start`),
  )
  return { url, end }
}
