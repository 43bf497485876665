import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { openTestDatabase } from '../support/database.ts'
import { becomes } from '../support/eventually.ts'
import { startServer } from '../support/server.ts'

const PASSWORDS = ['the first: p@ss/w:rd', 'the second: 100 % ü', 'of another user']

/** As a secret manager writes it. */
const secretOf = (username: string, password: string) =>
  JSON.stringify({ username, password, engine: 'postgres' })

t.test('a password, and a user, are replaced while a node runs', async (t) => {
  const { url } = await openTestDatabase(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const [one, two] = [0, 1].map(() => `role_${randomUUID().replaceAll('-', '')}`) as [string, string]
  const [first, second, third] = PASSWORDS.map((password) => pg.escapeLiteral(password))
  for (const role of [one, two]) {
    await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${role === one ? first : third}`)
    await admin.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`)
  }
  t.teardown(async () => {
    for (const role of [one, two]) await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    await admin.end()
  })
  const closeConnections = (role: string) =>
    admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role])

  const file = join(t.testdir(), 'secret.json')
  await writeFile(file, secretOf(one, PASSWORDS[0] as string))
  const { hostname, port, pathname } = new URL(url)
  const { url: databaseUrl } = loadConfig({
    NODE_ENV: 'development',
    APP_SECRETS: 'x'.repeat(32),
    REDIS_URL: 'redis://localhost',
    ...{ DB_SECRET_FILE: file, DB_HOST: hostname, DB_PORT: port, DB_NAME: pathname.slice(1) },
  }).database
  const server = await startServer(t, { databaseUrl })
  const state = async () => (await server.call('GET', '/readyz')).body.status
  const signsUp = async () =>
    (await server.post('/auth/register', { email: server.freshEmail(), password: server.password })).status
  t.equal(await signsUp(), 202)

  await admin.query(`ALTER ROLE ${one} PASSWORD ${second}`)
  await closeConnections(one)
  await becomes(t, async () => (await signsUp()) === 503, 'new connections are refused')
  await writeFile(file, secretOf(one, PASSWORDS[1] as string))
  await becomes(t, async () => (await state()) === 'ready', 'the new password is read')
  t.equal(await signsUp(), 202)

  await writeFile(file, secretOf(two, PASSWORDS[2] as string))
  await closeConnections(one)
  await becomes(t, async () => (await state()) === 'ready', 'and so is another user')
  await becomes(t, async () => (await signsUp()) === 202, 'who may do the same')

  await writeFile(file, 'half of a f')
  await closeConnections(two)
  await becomes(t, async () => (await signsUp()) === 202, 'without a readable file, the last login is tried')
  await admin.query(`ALTER ROLE ${two} PASSWORD ${first}`)
  await closeConnections(two)
  await becomes(t, async () => (await signsUp()) === 503, 'until it is refused')
  await becomes(t, () => server.logs.join('').includes('login_not_read'), 'the log says why')
  const told = server.logs.join('')
  for (const secret of [...PASSWORDS, one, two]) t.notMatch(told, secret)
})

t.test('a file may hold the password alone', async (t) => {
  const { username, password, hostname, port, pathname } = new URL((await openTestDatabase(t)).url)
  const file = join(t.testdir(), 'secret.json')
  await writeFile(file, JSON.stringify({ password: decodeURIComponent(password) }))
  const { url } = loadConfig({
    NODE_ENV: 'development',
    APP_SECRETS: 'x'.repeat(32),
    REDIS_URL: 'redis://localhost',
    ...{
      DB_SECRET_FILE: file,
      DB_USER: username,
      DB_HOST: hostname,
      DB_PORT: port,
      DB_NAME: pathname.slice(1),
    },
  }).database
  const { db, close } = openDatabase({ url })
  t.teardown(close)
  t.match(await db.$queryRaw`SELECT current_user::text AS name`, [{ name: username }])
})
