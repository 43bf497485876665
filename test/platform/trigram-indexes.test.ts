import { randomUUID } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { applyMigrations, MIGRATIONS, migrationNames } from '../../src/platform/migrations.ts'
import { createEmptyDatabase } from '../support/database.ts'

const LAST_WITHOUT = '20261128052823_null_passwords_and_outbox_kinds'

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

const indexesOfUsers = (url: string) =>
  withClient(url, async (client) => {
    const { rows } = await client.query(
      "SELECT indexname FROM pg_indexes WHERE tablename = 'users' ORDER BY 1",
    )
    return rows.map(({ indexname }) => indexname)
  })

t.test('an owner of the database gets trigram indexes for the search', async (t) => {
  const { url, drop } = await createEmptyDatabase()
  t.teardown(drop)
  await applyMigrations(url, MIGRATIONS)
  t.match(await indexesOfUsers(url), [
    'users_created_at_id_idx',
    'users_email_key',
    'users_email_trgm_idx',
    'users_hash_kind_idx',
    'users_name_trgm_idx',
    'users_pkey',
    'users_unusual_address_idx',
    'users_unverified_idx',
  ])
})

t.test('a user who may not create the extension gets everything else', async (t) => {
  const { url, drop } = await createEmptyDatabase()
  const role = `ratchet_${randomUUID().replaceAll('-', '')}`
  const database = new URL(url).pathname.slice(1)
  t.teardown(async () => {
    await withClient(url, (client) => client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
    await drop()
  })
  await withClient(url, (client) =>
    client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}';
      GRANT CREATE ON SCHEMA public TO ${role}; GRANT CREATE ON DATABASE ${database} TO ${role}`),
  )
  const asRole = Object.assign(new URL(url), { username: role, password: role }).href
  const folder = t.testdir()
  for (const name of await migrationNames(MIGRATIONS)) {
    if (name <= LAST_WITHOUT) await cp(join(MIGRATIONS, name), join(folder, name), { recursive: true })
  }
  await applyMigrations(asRole, folder)
  await withClient(url, (client) => client.query(`REVOKE CREATE ON DATABASE ${database} FROM ${role}`))
  await applyMigrations(asRole, MIGRATIONS)
  t.strictSame(await indexesOfUsers(url), [
    'users_created_at_id_idx',
    'users_email_key',
    'users_hash_kind_idx',
    'users_pkey',
    'users_unusual_address_idx',
    'users_unverified_idx',
  ])
})
