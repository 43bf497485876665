import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { findSuppression, mark } from '../../src/core/mail/suppression.ts'
import { MIGRATIONS, pendingMigrations } from '../../src/platform/migrations.ts'
import { createPerson, plantUsers } from '../support/administrator.ts'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { startServer } from '../support/server.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const RATCHET = [process.execPath, ...TYPESCRIPT, MAIN]
const run = promisify(execFile)

const NO_FULL_DEVICE = existsSync('/dev/full') ? false : 'this system has no /dev/full'

const server = await startServer(t)
const env = (DATABASE_URL: string) => ({
  PATH: process.env.PATH,
  NODE_ENV: 'test',
  DATABASE_URL,
  REDIS_URL: 'redis://127.0.0.1:1',
  PUBLIC_URL: 'http://localhost:8080',
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
})

/** Runs a command as the script says, which prints the command's exit code at the end. */
async function shell(script: string, args: readonly string[], databaseUrl = server.databaseUrl) {
  const { stdout, stderr } = await run('bash', ['--norc', '-c', script, 'bash', ...RATCHET, ...args], {
    env: env(databaseUrl),
  })
  const [, printed = '', code] = /^(.*?)(\d+)\n$/s.exec(stdout) ?? []
  return { printed, code: Number(code), stderr }
}
const UNREAD = '"$@" 2>&1 | true; echo "$PIPESTATUS"'
const ONE_LINE = '"$@" | head -n 1; echo "$PIPESTATUS"'
const FULL = '"$@" > /dev/full; echo "$?"'

t.test('a list that is cut off ends quietly', async (t) => {
  await plantUsers(
    server,
    Array.from({ length: 3_000 }, (_, index) => ({ email: `person${index}@example.com`, name: 'A name' })),
  )
  for (const args of [
    ['users', 'list', '--limit', '5000'],
    ['users', 'list', '--limit', '5000', '--json'],
    ['--help'],
  ]) {
    const { printed, code, stderr } = await shell(ONE_LINE, args)
    t.equal(printed.trim().split('\n').length, 1, args.join(' '))
    t.strictSame({ code, stderr }, { code: 0, stderr: '' }, args.join(' '))
  }
})

t.test('every command has the same result when nobody reads its output', async (t) => {
  const { email, id } = await createPerson(server)
  const admin = await createPerson(server)
  await mark(server.db, email, 'bounced', new Date())
  const user = () => server.db.user.findUniqueOrThrow({ where: { id } })
  const keys = () => server.db.signingKey.count()
  const before = await keys()
  const cases: [code: number, args: string[], hasHappened: () => Promise<unknown>][] = [
    [0, ['help'], async () => true],
    [0, ['migrate'], async () => true],
    [0, ['migrate', '--check', '--json'], async () => true],
    [0, ['users', 'list'], async () => true],
    [0, ['users', 'show', email, '--json'], async () => true],
    [0, ['users', 'audit', email], async () => true],
    [0, ['users', 'disable', email], async () => (await user()).disabledAt],
    [0, ['users', 'enable', email], async () => !(await user()).disabledAt],
    [0, ['users', 'end-sessions', email], async () => true],
    [0, ['users', 'require-reset', email], async () => (await user()).resetRequiredAt],
    [0, ['users', 'grant-admin', admin.email], async () => true],
    [0, ['users', 'revoke-admin', admin.email], async () => true],
    [0, ['clients', 'list'], async () => true],
    [0, ['resources', 'list'], async () => true],
    [0, ['keys', 'list'], async () => true],
    [0, ['keys', 'rotate'], async () => (await keys()) === before + 1],
    [0, ['mail', 'suppressed'], async () => true],
    [0, ['mail', 'allow', email], async () => !(await findSuppression(server.db, email))],
    [1, ['users', 'delete', email], async () => user()],
    [0, ['users', 'delete', email, '--yes'], async () => !(await server.db.user.count({ where: { id } }))],
    [1, ['users', 'show', email], async () => true],
    [1, ['keys', 'retire', 'none'], async () => true],
    [2, ['users', 'show'], async () => true],
    [2, ['forget'], async () => true],
  ]
  for (const [code, args, hasHappened] of cases) {
    t.strictSame(await shell(UNREAD, args), { printed: '', code, stderr: '' }, args.join(' '))
    t.ok(await hasHappened(), args.join(' '))
  }
})

t.test('migrations are all applied when nobody reads which', async (t) => {
  const empty = await createEmptyDatabase()
  t.teardown(() => empty.drop())
  t.strictSame(await shell(UNREAD, ['migrate'], empty.url), { printed: '', code: 0, stderr: '' })
  t.strictSame(await pendingMigrations(empty.url, MIGRATIONS), [])
})

t.test('output that cannot be written is an error', { skip: NO_FULL_DEVICE }, async (t) => {
  const { code, stderr } = await shell(FULL, ['users', 'list', '--limit', '5000'])
  t.equal(code, 1)
  t.match(stderr, /^ratchet users: the output could not be written: [^\n]*ENOSPC[^\n]*\n$/)
})

t.test('the exit code says what kind of failure it was', async (t) => {
  const code = (args: string[], databaseUrl = server.databaseUrl) =>
    run(RATCHET[0] as string, [...RATCHET.slice(1), ...args], { env: env(databaseUrl) }).then(
      () => 0,
      (error) => {
        t.match(error.stderr, /^ratchet \w+: [^\n]+\n$/, 'one line')
        return error.code
      },
    )
  const empty = await createEmptyDatabase()
  t.teardown(() => empty.drop())
  const away = 'postgres://me@127.0.0.1:1/db'
  const commands = [
    ['users', 'list'],
    ['users', 'enable', 'ann@example.com'],
    ['keys', 'list'],
    ['mail', 'suppressed'],
  ]
  for (const args of commands) {
    const [unavailable, unmigrated, unreadable, unknown] = await Promise.all([
      code(args, away),
      code(args, empty.url),
      code(args, 'nonsense'),
      code([...args, '--nonsense'], away),
    ])
    t.equal(unavailable, 3, `${args.join(' ')}: Postgres is unavailable`)
    t.equal(unmigrated, 1, `${args.join(' ')}: migrations are missing`)
    t.equal(unreadable, 2, `${args.join(' ')}: configuration`)
    t.equal(unknown, 2, `${args.join(' ')}: arguments`)
  }
  t.equal(await code(['migrate'], away), 3)
  t.equal(await code(['migrate', '--check'], away), 3, 'not 1, which means that some are pending')
  t.equal(await code(['users', 'show', 'nobody@example.com']), 1)
  t.equal(await code(['users', 'show', 'nobody']), 2)
  t.equal(await code(['users', 'list', '--limit', '0']), 2)
  t.equal(await code(['mail', 'allow', 'nobody@example.com']), 1)
  t.equal(await code(['keys', 'retire', 'nobody']), 1)
})

t.test('migrate --check lists what is pending, as text and as JSON lines, and exits with 1', async (t) => {
  const empty = await createEmptyDatabase()
  t.teardown(() => empty.drop())
  const pending = await pendingMigrations(empty.url, MIGRATIONS)
  const ratchet = (...args: string[]) =>
    run(RATCHET[0] as string, [...RATCHET.slice(1), ...args], { env: env(empty.url) })
  const asText = await ratchet('migrate', '--check').catch((error) => error)
  t.match(asText, { code: 1, stdout: `pending: ${pending.join(', ')}\n` })
  const lines = (stdout: string) =>
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).migration)
  const asJson = await ratchet('migrate', '--check', '--json').catch((error) => error)
  t.equal(asJson.code, 1)
  t.strictSame(lines(asJson.stdout), pending)
  t.strictSame(lines((await ratchet('migrate', '--json')).stdout), pending)
  t.equal((await ratchet('migrate', '--check', '--json')).stdout, '')
})
