import pg from 'pg'
import t, { type Test } from 'tap'
import { applyMigrations, MIGRATIONS, requireMigrations } from '../../src/platform/migrations.ts'
import { createEmptyDatabase, createTestDatabase } from '../support/database.ts'
import { refresh } from '../support/failover.ts'
import { startServer } from '../support/server.ts'

async function ask(url: string, sql: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql.replaceAll('DATABASE name', `DATABASE ${new URL(url).pathname.slice(1)}`)))
      .rows
  } finally {
    await client.end()
  }
}

/** Every table is in the schema, and a server finds them there by Prisma and by other statements. */
async function livesIn(t: Test, url: string, schema: string) {
  await applyMigrations(url, MIGRATIONS)
  await requireMigrations(url)
  const tables = await ask(
    url,
    `SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  )
  t.strictSame(tables, [{ schemaname: schema }])
  const server = await startServer(t, { databaseUrl: url })
  const session = await server.login(await server.createAccount())
  const { body } = await refresh(server, session.refresh_token)
  await server.forgetFamily(body.refresh_token)
  t.equal((await refresh(server, body.refresh_token)).status, 200)
  t.equal((await server.call('GET', '/auth/sessions', { bearer: body.access_token })).body.sessions.length, 1)
  t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
  await server.close()
}

async function empty(t: Test, sql = 'SELECT 1') {
  const { url, drop } = await createEmptyDatabase()
  t.teardown(drop)
  await ask(url, sql)
  return url
}

t.test('the schema is that of ?schema=, which is created', async (t) => {
  for (const schema of ['Auth-1', `ä"b'c, "d";--%$\\`])
    await livesIn(t, `${await empty(t)}?schema=${encodeURIComponent(schema)}`, schema)
})

t.test('or the first one of the search path: of options', async (t) => {
  const url = await empty(t, 'CREATE SCHEMA auth')
  await livesIn(t, `${url}?options=${encodeURIComponent('-c search_path=auth,public')}`, 'auth')
})

t.test('of the database or the role', async (t) => {
  const url = await empty(t, 'CREATE SCHEMA auth; ALTER DATABASE name SET search_path = auth, public')
  await livesIn(t, url, 'auth')
  const quoted = await empty(
    t,
    'CREATE SCHEMA "Au""th"; ALTER DATABASE name SET search_path = "Au""th", public',
  )
  await livesIn(t, quoted, 'Au"th')
})

t.test('a search path that leads away from the tables is a fault at the start', async (t) => {
  const { url, drop } = await createTestDatabase()
  t.teardown(drop)
  await ask(url, 'CREATE SCHEMA other; ALTER DATABASE name SET search_path = other, public')
  for (const use of [requireMigrations, (at: string) => applyMigrations(at, MIGRATIONS)]) {
    await t.rejects(async () => void (await use(url)), {
      name: 'DatabaseMisconfigured',
      message: /tables are in the schema public, but the search path begins with other: add \?schema=public/,
    })
  }
  await requireMigrations(`${url}?schema=public`)
  const strange = await empty(t, 'CREATE SCHEMA "A ""b"; CREATE SCHEMA other')
  await applyMigrations(`${strange}?schema=${encodeURIComponent('A "b')}`, MIGRATIONS)
  await ask(strange, 'ALTER DATABASE name SET search_path = other, "A ""b"')
  await t.rejects(requireMigrations(strange), { message: /add \?schema=A%20%22b to DATABASE_URL/ })
  await ask(url, 'ALTER DATABASE name SET search_path = nowhere')
  await t.rejects(requireMigrations(url), { message: /names no schema that exists/ })
})

t.test('a schema that does not exist is a fault at the start', async (t) => {
  const { url, drop } = await createTestDatabase()
  t.teardown(drop)
  await t.rejects(requireMigrations(`${url}?schema=elsewhere`), { message: /no schema "elsewhere".*migrate/ })
})

t.test('what a database is set to changes nothing', async (t) => {
  const settings = {
    TimeZone: 'America/New_York',
    DateStyle: 'German',
    IntervalStyle: 'sql_standard',
    bytea_output: 'escape',
    default_transaction_isolation: 'serializable',
    statement_timeout: '1h',
    extra_float_digits: '-15',
  }
  const lines = Object.entries(settings).map(
    ([name, value]) => `ALTER DATABASE name SET ${name} = '${value}'`,
  )
  const url = await empty(t, lines.join('; '))
  await livesIn(t, url, 'public')
})
