import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { reader } from '../../src/platform/environment.ts'
import { readSecretsCommand, runSecretsCommand } from '../../src/platform/secrets-command.ts'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { createTestDatabase } from '../support/database.ts'
import { becomes } from '../support/eventually.ts'
import { runRatchet, startRatchet } from '../support/ratchet.ts'
import { createRole, createSecretManager, isRunning } from '../support/secrets-command.ts'

const node = (script: string, ...args: string[]) => JSON.stringify([process.execPath, '-e', script, ...args])
const printing = (output: unknown) => node(`process.stdout.write(${JSON.stringify(JSON.stringify(output))})`)

const run = promisify(execFile)

t.test('every fault is one line that shows nothing of what was printed', async (t) => {
  const canary = 'canary-of-a-secret'
  const cases: [command: string, told: RegExp][] = [
    ['/no/such/program', /SECRETS_COMMAND cannot be started \(ENOENT\)$/],
    ['/', /SECRETS_COMMAND cannot be started \(EACCES\)$/],
    [node('process.exit(3)'), /SECRETS_COMMAND ended with exit code 3$/],
    [
      node(
        "console.log('canary-of-a-secret'); console.error('one\\nAccess\\x1b[2JDenied\\n'); process.exit(4)",
      ),
      /SECRETS_COMMAND ended with exit code 4: one Access \[2JDenied$/,
    ],
    [node("process.kill(process.pid, 'SIGKILL')"), /SECRETS_COMMAND was ended by SIGKILL$/],
    [node(''), /SECRETS_COMMAND does not print one JSON object$/],
    [node("console.log('canary-of-a-secret')"), /SECRETS_COMMAND does not print one JSON object$/],
    [printing([canary]), /SECRETS_COMMAND does not print one JSON object$/],
    [printing(null), /SECRETS_COMMAND does not print one JSON object$/],
    [
      printing({ LOG_LEVEL: 'info', [canary]: 'x' }),
      /SECRETS_COMMAND prints as name 2 none of this server's variables$/,
    ],
    [
      printing({ __proto__x: 'x', toString: 'x' }),
      /as name 1 none .*; .*as name 2 none of this server's variables$/,
    ],
    [printing({ DATABASE_URI: canary }), /name 1 none of this server's variables: was DATABASE_URL meant\?$/],
    [printing({ SECRETS_COMMAND: 'x' }), /SECRETS_COMMAND must not be in what it prints$/],
    [
      printing({ APP_SECRETS: [canary], DB_PORT: 1, REDIS_URL: null }),
      /the value of APP_SECRETS must be a text; .*value of DB_PORT must be a text; .*value of REDIS_URL must be a text$/,
    ],
    [
      printing({ DATABASE_URL: `postgres://${canary}/x`, LOG_LEVEL: 'info' }),
      /DATABASE_URL is set in the environment and by SECRETS_COMMAND: remove one of the two$/,
    ],
    [
      node("const part = Buffer.alloc(1e6, 'x'); for (let n = 0; n < 1000; n++) process.stdout.write(part)"),
      /SECRETS_COMMAND prints more than 1 MiB$/,
    ],
    [node("process.stderr.write('canary'.repeat(1e6))"), /SECRETS_COMMAND prints more than 1 MiB$/],
    ['sh -c "echo 1"', /SECRETS_COMMAND must be a program and its arguments, .* or a JSON list of them$/],
    ['["node", 1]', /SECRETS_COMMAND must be a program/],
    ['[]', /SECRETS_COMMAND must be a program/],
    ['["node"', /SECRETS_COMMAND must be a program/],
    ['["no\\u0000de"]', /SECRETS_COMMAND must be a program/],
  ]
  for (const [SECRETS_COMMAND, told] of cases) {
    const env = {
      PATH: process.env.PATH as string,
      DATABASE_URL: 'postgres://127.0.0.1:1/x',
      SECRETS_COMMAND,
    }
    const { code, stdout, stderr } = await runRatchet(['migrate', '--check'], env).catch((error) => error)
    t.match(
      { code, stdout, stderr: stderr.trim() },
      { code: 2, stdout: '', stderr: told },
      SECRETS_COMMAND.slice(0, 90),
    )
    t.match(stderr, /^ratchet migrate: the configuration cannot be used: [^\n]*\n$/)
    t.notMatch(stderr, 'canary')
  }
})

t.test('the commands of the documentation read files', async (t) => {
  const text = readFileSync(new URL('../../docs/operating/secrets.md', import.meta.url), 'utf8')
  const values = { REDIS_URL: 'redis://a', DB_SECRET_JSON: '{"password":"a \\"quoted\\" one"}' }
  const folder = t.testdir({
    'ratchet.json': JSON.stringify(values),
    // As Kubernetes mounts a Secret.
    '..of-a-time': values,
    ratchet: {
      'ca.pem': 'no secret of a variable',
      ...Object.fromEntries(
        Object.keys(values).map((name) => [name, t.fixture('symlink', `../..of-a-time/${name}`)]),
      ),
      '..data': t.fixture('symlink', '../..of-a-time'),
    },
  })
  const commands = [...text.matchAll(/^```json\n(.+)\n```$/gm)].map(([, command = '']) => command)
  t.equal(commands.length, 2)
  for (const command of commands) {
    const SECRETS_COMMAND = command.replace('/run/secrets', folder)
    const parsed = readSecretsCommand({ SECRETS_COMMAND }, reader({}))
    t.ok(parsed)
    if (parsed) t.strictSame(await runSecretsCommand(parsed), values)
  }
})

t.test('a command that hangs is ended with all that it has started', async (t) => {
  const file = join(t.testdir(), 'pids')
  const hanging = `
    const { spawn } = require('node:child_process')
    process.on('SIGTERM', () => {})
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'inherit' })
    require('node:fs').writeFileSync(${JSON.stringify(file)}, [process.pid, child.pid].join())
    setInterval(() => {}, 1e6)`
  const command = { program: process.execPath, args: ['-e', hanging] }
  await t.rejects(runSecretsCommand(command, 3_000), {
    message: 'SECRETS_COMMAND did not end within 3 seconds',
  })
  const pids = readFileSync(file, 'utf8').split(',').map(Number)
  t.equal(pids.length, 2)
  for (const pid of pids) await becomes(t, () => !isRunning(pid), 'it has ended')
})

t.test('what a failing command writes is not part of its fault', async (t) => {
  const script = "console.log('canary'); console.error('canary'); process.exit(1)"
  const failing = runSecretsCommand({ program: process.execPath, args: ['-e', script] })
  await t.rejects(failing, { message: /^SECRETS_COMMAND ended with exit code 1$/, said: 'canary' })
})

t.test('without file descriptors the command fails, and nothing else', async (t) => {
  const script = `
    import { closeSync, openSync } from 'node:fs'
    const { runSecretsCommand } = await import(${JSON.stringify(import.meta.resolve('../../src/platform/secrets-command.ts'))})
    const open = []
    try {
      for (;;) open.push(openSync('/dev/null'))
    } catch {}
    const fault = await runSecretsCommand({ program: process.execPath, args: ['-v'] }).catch((error) => error)
    for (const each of open) closeSync(each)
    console.log(fault.message)`
  const node = [process.execPath, ...TYPESCRIPT, '--input-type=module', '-e', script]
  const { stdout } = await run('sh', ['-c', 'ulimit -n 64 && exec "$@"', 'sh', ...node])
  t.equal(stdout, 'SECRETS_COMMAND cannot be started (EMFILE)\n')
})

t.test('a process that handles a signal still gets its secrets: it may serve for a while', async (t) => {
  const handled = once(process, 'SIGHUP')
  const script = "setTimeout(() => console.log('{}'), 500)"
  const running = runSecretsCommand({ program: process.execPath, args: ['-e', script] })
  process.kill(process.pid, 'SIGHUP')
  await handled
  t.strictSame(await running, {})
})

t.test('a signal ends the command line, and the command with it', async (t) => {
  const manager = createSecretManager(t, { DATABASE_URL: 'postgres://127.0.0.1:1/x' })
  manager.delay(600_000)
  const aborted = new AbortController()
  const running = startRatchet(
    ['users', 'list'],
    { SECRETS_COMMAND: manager.command },
    undefined,
    aborted.signal,
  )
  const ended = running.catch((error) => error)
  await becomes(t, () => manager.runs() === 1, 'the command runs')
  aborted.abort()
  t.match(await ended, { code: 'ABORT_ERR' })
  await becomes(t, () => !manager.isRunning(), 'it has ended')
})

t.test('the command line reads its login from the command, and again when it is refused', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const role = await createRole(t, database.url)
  await role.setPassword('the first')
  const { hostname, port, pathname } = new URL(database.url)
  const secret = (password: string) => ({ DB_SECRET_JSON: JSON.stringify({ username: role.name, password }) })
  const manager = createSecretManager(t, secret('the first'))
  const env = {
    PATH: process.env.PATH as string,
    DB_HOST: hostname,
    DB_PORT: port,
    DB_NAME: pathname.slice(1),
    SECRETS_COMMAND: manager.command,
  }
  t.match(await startRatchet(['users', 'list', '--json'], env), { stdout: '', stderr: 'none\n' })
  t.equal(manager.runs(), 1)

  // The password is replaced while the command line starts: between its reading and its first connection.
  await role.setPassword('the second')
  manager.turn(secret('the second'))
  t.match(await startRatchet(['users', 'list', '--json'], env), { stdout: '', stderr: 'none\n' })
  t.ok(manager.runs() > 2, 'it ran once more')

  await role.setPassword('the third')
  const failed = await startRatchet(['users', 'list'], env).catch((error) => error)
  t.match(failed, {
    code: 3,
    stdout: '',
    stderr: /^ratchet users: Postgres at .* refuses the connection: password/,
  })
})
