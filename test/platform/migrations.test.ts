import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { MigrationError } from '../../src/platform/migration-history.ts'
import { applyMigrations, pendingMigrations } from '../../src/platform/migrations.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'

const CREATE = 'CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\n'

async function setUp(t: Test, migrations: Record<string, string>) {
  const folder = t.testdir()
  const write = async (name: string, sql: string) => {
    await mkdir(join(folder, name), { recursive: true })
    await writeFile(join(folder, name, 'migration.sql'), sql)
  }
  for (const [name, sql] of Object.entries(migrations)) await write(name, sql)
  await writeFile(join(folder, 'migration_lock.toml'), 'provider = "postgresql"\n')
  const database = await createEmptyDatabase()
  t.teardown(() => database.drop())
  const query = async (sql: string) => {
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    try {
      return (await client.query(sql)).rows
    } finally {
      await client.end()
    }
  }
  return { url: database.url, folder, write, query }
}

t.test('it applies migrations in the order of their names, and nothing the second time', async (t) => {
  const { url, folder, query } = await setUp(t, { '2_fill': 'INSERT INTO a VALUES (2);', '1_create': CREATE })
  const lines: string[] = []
  t.strictSame(await pendingMigrations(url, folder), ['1_create', '2_fill'])
  t.strictSame(await applyMigrations(url, folder, (line) => lines.push(line)), ['1_create', '2_fill'])
  t.strictSame(lines, ['applied migration 1_create', 'applied migration 2_fill'])
  t.strictSame(await applyMigrations(url, folder), [])
  t.strictSame(await pendingMigrations(url, folder), [])
  t.strictSame(await query('SELECT id FROM a ORDER BY id'), [{ id: 1 }, { id: 2 }])
})

t.test('it keeps the same history as Prisma', async (t) => {
  const { url, folder, query } = await setUp(t, { '1_create': CREATE })
  await applyMigrations(url, folder)
  const [row] = await query('SELECT * FROM _prisma_migrations')
  t.match(row, {
    id: /^[0-9a-f-]{36}$/,
    checksum: createHash('sha256').update(CREATE).digest('hex'),
    migration_name: '1_create',
    finished_at: Date,
    started_at: Date,
    logs: null,
    rolled_back_at: null,
    applied_steps_count: 1,
  })
})

t.test('it applies each migration once if several processes start together', async (t) => {
  const { url, folder, query } = await setUp(t, { '1_create': `SELECT pg_sleep(0.2); ${CREATE}` })
  const applied = await Promise.all([1, 2, 3].map(() => applyMigrations(url, folder)))
  t.strictSame(applied.flat(), ['1_create'])
  t.strictSame(await query('SELECT id FROM a'), [{ id: 1 }])
})

t.test('it stops at a failure, and stays stopped until it is resolved', async (t) => {
  const { url, folder, write, query } = await setUp(t, {
    '1_create': CREATE,
    '2_wrong': 'INSERT INTO a VALUES (2); INSERT INTO nowhere VALUES (1);',
    '3_late': 'INSERT INTO a VALUES (3);',
  })
  await t.rejects(applyMigrations(url, folder), {
    name: 'MigrationError',
    message: /2_wrong.*P3018.*nowhere/,
  })
  t.strictSame(await query('SELECT id FROM a'), [{ id: 1 }], 'a failed migration is rolled back')
  t.match(await query(`SELECT logs FROM _prisma_migrations WHERE finished_at IS NULL`), [{ logs: /nowhere/ }])

  await t.rejects(applyMigrations(url, folder), { name: 'MigrationError', message: /2_wrong.*P3009/ })
  await t.rejects(pendingMigrations(url, folder), MigrationError)

  await query(`UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL`)
  await write('2_wrong', 'INSERT INTO a VALUES (2);')
  t.strictSame(await applyMigrations(url, folder), ['2_wrong', '3_late'])
})

t.test('it warns about a migration that was edited afterwards, and does not run it again', async (t) => {
  const { url, folder, write } = await setUp(t, { '1_create': CREATE })
  await applyMigrations(url, folder)
  await write('1_create', `${CREATE}-- edited\n`)
  const lines: string[] = []
  t.strictSame(await applyMigrations(url, folder, (line) => lines.push(line)), [])
  t.match(lines, [/1_create was edited/])
})

t.test('it fails without a server, and does not hang', async (t) => {
  await t.rejects(applyMigrations('postgresql://nobody:a-secret@127.0.0.1:1/none', t.testdir()), {
    name: 'DatabaseUnusable',
    message: /^Postgres at 127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/,
  })
  const { url } = await setUp(t, {})
  const elsewhere = Object.assign(new URL(url), { pathname: '/no-such-database' }).href
  await t.rejects(applyMigrations(elsewhere, t.testdir()), {
    message: /^Postgres at [\w.]+:\d+ refuses the connection: database "no-such-database" does not exist$/,
  })
})

t.test('it gives way to those who queue behind it for a table, and tries again', async (t) => {
  const { url, folder, write, query } = await setUp(t, { '1_create': CREATE })
  await applyMigrations(url, folder)
  await write('2_alter', 'ALTER TABLE a ADD COLUMN name text;')
  const reader = new pg.Client({ connectionString: url })
  await reader.connect()
  await reader.query('BEGIN; SELECT * FROM a')
  const applied = applyMigrations(url, folder)
  const waiting = async () =>
    (await query(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass`)).length
  await eventually(async () => (await waiting()) === 1)
  t.strictSame(
    await query('SELECT id FROM a'),
    [{ id: 1 }],
    'another reader is served before the first has ended',
  )
  t.equal(await waiting(), 0)
  await reader.query('COMMIT')
  await reader.end()
  t.strictSame(await applied, ['2_alter'])
})
