import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { freePort } from '../src/dev/embedded/port.ts'
import { openDatabase } from '../src/platform/database.ts'
import { TYPESCRIPT } from './support/compiled/typescript.ts'
import { createEmptyDatabase, createTestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { redisUrl } from './support/redis.ts'
import { createRole, createSecretManager } from './support/secrets-command.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PRODUCTION = {
  REDIS_URL: redisUrl,
  APP_SECRETS: 'a-secret-for-production-of-32-bytes-or-more',
  PUBLIC_URL: 'http://localhost:8080',
  SMTP_URL: 'smtp://127.0.0.1:1',
  MAIL_FROM: 'Ratchet <no-reply@example.com>',
  HOST: '127.0.0.1',
}

function start(env: Record<string, string>, file = 'src/server.ts') {
  const child = spawn(process.execPath, [...TYPESCRIPT, file], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(String(chunk)))
  return { child, output }
}

const serves = (child: ChildProcess, condition: () => Promise<boolean>) =>
  eventually(() => {
    if (child.exitCode !== null) throw new Error('the server ended')
    return condition().catch(() => false)
  })

t.test(
  'in production all missing or contradictory settings are reported at once, and the server does not start',
  async (t) => {
    const secret = 'too-short-canary'
    const { child, output } = start({
      // As in an environment file with a line that was left empty.
      NODE_ENV: '',
      APP_SECRETS: secret,
      RESEND_API_KEY: 'canary-key',
      SMTP_URL: 'smtp://localhost',
      PORT: 'high',
    })
    const [code] = await once(child, 'exit')
    t.equal(code, 1)
    const text = output.join('')
    for (const name of [
      'PUBLIC_URL',
      'DATABASE_URL',
      'REDIS_URL',
      'APP_SECRETS',
      'MAIL_FROM',
      'RESEND_API_KEY and SMTP_URL',
      'PORT',
    ]) {
      t.ok(text.includes(name), name)
    }
    t.notOk(text.includes(secret))
    t.notOk(text.includes('canary-key'))
  },
)

t.test('it starts through a symbolic link too', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-link-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const link = join(folder, 'ratchet.ts')
  await symlink(join(ROOT, 'src/server.ts'), link)
  const { child, output } = start({}, link)
  t.equal((await once(child, 'exit'))[0], 1)
  t.match(output.join(''), /^the configuration cannot be used:/)
})

t.test('a signal to npm start reaches the server', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-npm-start-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'dist'))
  await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'))
  const program = `
    process.on('SIGTERM', () => { console.log('told'); process.exit(0) })
    setInterval(() => {}, 1000)
    console.log('up', process.pid, process.ppid)`
  await writeFile(join(folder, 'dist/server.js'), program)
  const npm = spawn('npm', ['start'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  npm.stdout.on('data', (chunk) => {
    output += chunk
  })
  await eventually(() => /^up/m.test(output))
  t.match(output, new RegExp(`^up \\d+ ${npm.pid}$`, 'm'), 'there is no shell between npm and the server')
  npm.kill('SIGTERM')
  await once(npm, 'exit')
  t.match(output, /^told$/m)
})

t.test('an unavailable store or a port in use is reported in one line', async (t) => {
  const empty = await createEmptyDatabase()
  const migrated = await createTestDatabase()
  t.teardown(() => Promise.all([empty.drop(), migrated.drop()]))
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as { port: number }
  const incarnation = process.env.TEST_REDIS_INCARNATION
  const env = {
    ...PRODUCTION,
    ...(incarnation ? { NODE_ENV: 'test', REDIS_INCARNATION: incarnation } : {}),
    DATABASE_URL: migrated.url,
    PORT: '0',
  }
  const unreachable = { DATABASE_URL: 'postgres://me:a-canary@127.0.0.1:1/db' }
  const cannotBeReached = /^Postgres at 127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED.*\n$/
  const cases: [env: Record<string, string>, told: RegExp][] = [
    [unreachable, cannotBeReached],
    [{ ...unreachable, RUN_MIGRATIONS: 'true' }, cannotBeReached],
    [{ DATABASE_URL: empty.url }, /^the database lacks \d.+: run "npm run ratchet -- migrate" first, .*\n$/],
    [
      { PORT: `${port}` },
      new RegExp(`^PORT: cannot listen on 127\\.0\\.0\\.1, port ${port} \\(EADDRINUSE\\)\n$`),
    ],
    [
      { METRICS_PORT: `${port}` },
      new RegExp(`^METRICS_PORT: cannot listen on .*, port ${port} \\(EADDRINUSE\\)\n$`),
    ],
    [{ HOST: '192.0.2.1' }, /^HOST: cannot listen on 192\.0\.2\.1, port 0 \(EADDRNOTAVAIL\)\n$/],
    [{ HOST: 'nowhere.invalid' }, /^HOST: cannot listen on nowhere\.invalid, port 0 \(E\w+\)\n$/],
    [
      { DATABASE_URL: `${migrated.url}?sslMode=require` },
      /^the configuration cannot be used:\n {2}- DATABASE_URL has a misspelt parameter: write sslmode\n$/,
    ],
    [
      { DATABASE_URL: `${migrated.url}?sslmode=verify-full` },
      /^Postgres at .* cannot be reached: .*SSL.*\n$/,
    ],
  ]
  for (const [change, told] of cases) {
    const { child, output } = start({ ...env, ...change, LOG_LEVEL: 'silent' })
    const [code] = await once(child, 'close')
    t.match({ code, output: output.join('') }, { code: 1, output: told }, JSON.stringify(Object.keys(change)))
  }
})

t.test('secrets come from a command, and a signal ends the server while the command runs', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const role = await createRole(t, database.url)
  await role.setPassword('the first')
  const { REDIS_URL, APP_SECRETS, ...settings } = PRODUCTION
  const incarnation = process.env.TEST_REDIS_INCARNATION
  const manager = createSecretManager(t, { REDIS_URL, APP_SECRETS, DATABASE_URL: role.urlWith('the first') })
  const port = await freePort()
  const env = {
    ...settings,
    ...(incarnation ? { NODE_ENV: 'test', REDIS_INCARNATION: incarnation } : {}),
    PORT: String(port),
    DRAIN_SECONDS: '0',
    SECRETS_COMMAND: manager.command,
  }
  const ready = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
    return ((await answer.json()) as { status: string }).status === 'ready'
  }

  const failing = start({ ...env, APP_SECRETS, PUBLIC_URL: '' })
  t.equal((await once(failing.child, 'exit'))[0], 1)
  t.match(
    failing.output.join(''),
    /^the configuration cannot be used:\n {2}- APP_SECRETS is set in the environment and by SECRETS_COMMAND: .*\n$/,
  )

  manager.delay(600_000)
  const early = start(env)
  await serves(early.child, async () => manager.runs() === 2)
  early.child.kill('SIGTERM')
  t.equal((await once(early.child, 'exit'))[0], 0)
  await eventually(() => !manager.isRunning())

  manager.delay(0)
  const server = start(env)
  await serves(server.child, ready)
  manager.delay(600_000)
  await role.setPassword('the second')
  await role.cut('all')
  await serves(server.child, async () => manager.runs() === 4)
  server.child.kill('SIGTERM')
  t.equal((await once(server.child, 'exit'))[0], 0)
  await eventually(() => !manager.isRunning())
  t.notMatch(server.output.join(''), /the first|the second/)
})

t.test('RUN_MIGRATIONS brings stored addresses over to their one spelling', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const { db, close } = openDatabase({ url: database.url })
  t.teardown(close)
  const data = { id: randomUUID(), email: 'ann@bücher.example', emailVerifiedAt: new Date() }
  await db.user.create({ data })
  const incarnation = process.env.TEST_REDIS_INCARNATION
  const env = {
    ...PRODUCTION,
    ...(incarnation ? { NODE_ENV: 'test', REDIS_INCARNATION: incarnation } : {}),
    DATABASE_URL: database.url,
    PORT: '0',
    RUN_MIGRATIONS: 'true',
  }
  const nodes = [start(env), start(env)]
  t.teardown(() => {
    for (const { child } of nodes) child.kill()
  })
  for (const { child, output } of nodes)
    await serves(child, async () => output.join('').includes('"starting"'))
  t.match(await db.user.findMany(), [{ id: data.id, email: 'ann@xn--bcher-kva.example' }])
})

t.test(
  'RUN_MIGRATIONS migrates an empty database; SIGTERM ends readiness first, then the process',
  { skip: process.env.TEST_REDIS_INCARNATION ? 'production needs a real Redis' : false },
  async (t) => {
    const database = await createEmptyDatabase()
    t.teardown(() => database.drop())
    const port = await freePort()
    const env = {
      ...PRODUCTION,
      DATABASE_URL: database.url,
      PUBLIC_URL: `http://localhost:${port}`,
      PORT: String(port),
      RUN_MIGRATIONS: 'true',
      DRAIN_SECONDS: '1',
      ALOWED_ORIGINS: 'https://canary.example',
    }
    const first = start(env)
    const second = start({ ...env, PORT: String(await freePort()) })
    const url = `http://127.0.0.1:${port}`
    await serves(first.child, async () => (await fetch(`${url}/readyz`)).status === 200)
    t.equal((await fetch(`${url}/dev/inbox`)).status, 404, 'no inbox in production')
    // A client that never finishes its request must not keep the process from an orderly exit.
    const slow = connect(port, '127.0.0.1')
    slow.on('error', () => {})
    let told = ''
    slow.on('data', (chunk) => (told += chunk))
    slow.write(
      'POST /auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    )
    first.child.kill('SIGTERM')
    // Ctrl-C reaches the process twice: from the terminal, and through npm.
    first.child.kill('SIGINT')
    first.child.kill('SIGINT')
    let notReady = 0
    await serves(first.child, async () => {
      notReady = (await fetch(`${url}/readyz`)).status
      return notReady === 503
    })
    t.equal(notReady, 503)
    const [code] = await once(first.child, 'exit')
    t.equal(code, 0)
    t.equal(told, '', 'the server did not wait for it, not even until a request timeout')
    const lines =
      first.output
        .join('')
        .match(/^\{.*\}$/gm)
        ?.map((line) => JSON.parse(line)) ?? []
    t.match(
      lines.filter(({ msg }) => /^st(art|opp)ing$/.test(msg)),
      [
        {
          level: 'info',
          msg: 'starting',
          version: /^\d+\.\d+\.\d+/,
          public_url: env.PUBLIC_URL,
          postgres: new URL(database.url).host,
          redis: `single ${new URL(redisUrl).host}`,
          metrics_port: undefined,
        },
        { level: 'info', msg: 'stopping' },
      ],
    )
    t.match(
      lines.filter(({ event }) => event === 'unknown_variable'),
      [{ level: 'warn', variable: 'ALOWED_ORIGINS', meant: 'ALLOWED_ORIGINS', advice: /\w/ }],
    )
    t.notMatch(first.output.join(''), /canary/)
    const secret = new URL(database.url).password
    if (secret) t.notMatch(lines, secret)
    second.child.kill('SIGTERM')
    t.equal((await once(second.child, 'exit'))[0], 0)
  },
)
