import pg from 'pg'
import t from 'tap'
import {
  applyMigrations,
  MIGRATIONS,
  pendingMigrations,
  requireMigrations,
} from '../../src/platform/migrations.ts'
import { createEmptyDatabase, createTestDatabase } from '../support/database.ts'
import { refresh } from '../support/failover.ts'
import { startServer, twenty } from '../support/server.ts'
import { startTransactionPooler } from '../support/transaction-pooler.ts'

const pooled = (url: string) => `${url}?pgbouncer=true`
const LIMITS = `
  ALTER DATABASE "name" SET idle_in_transaction_session_timeout = 3000;
  ALTER DATABASE "name" SET lock_timeout = 2000;
  ALTER DATABASE "name" SET statement_timeout = 3000;`

async function set(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(sql.replaceAll('name', new URL(url).pathname.slice(1)))
  await client.end()
}

t.test('a pooler that lends connections per transaction', async (t) => {
  t.test('is refused with advice until the URL says so', async (t) => {
    const database = await createTestDatabase()
    t.teardown(database.drop)
    const pooler = await startTransactionPooler(t, database.url)
    await t.rejects(requireMigrations(pooler.url), {
      name: 'DatabaseUnusable',
      message: /unsupported startup parameter.*add pgbouncer=true to DATABASE_URL/,
    })
  })

  t.test('and until the role has the settings that cannot be set through it', async (t) => {
    const database = await createTestDatabase()
    t.teardown(database.drop)
    await set(database.url, `ALTER DATABASE "name" SET default_transaction_isolation = 'serializable'`)
    const pooler = await startTransactionPooler(t, database.url)
    const message = [
      "SET default_transaction_isolation = 'read committed'",
      "SET idle_in_transaction_session_timeout = '3000'",
      "SET lock_timeout = '2000'",
      "SET statement_timeout = '3000'",
    ]
    await t.rejects(requireMigrations(pooled(pooler.url)), {
      name: 'DatabaseMisconfigured',
      message: new RegExp(message.map((statement) => `ALTER ROLE CURRENT_USER ${statement};`).join(' ')),
    })
  })

  t.test('migrations run through it, once each, also from several processes', async (t) => {
    const database = await createEmptyDatabase()
    t.teardown(database.drop)
    await set(database.url, LIMITS)
    const pooler = await startTransactionPooler(t, database.url)
    const applied = await Promise.all([1, 2, 3].map(() => applyMigrations(pooled(pooler.url), MIGRATIONS)))
    t.strictSame(applied.flat().sort(), [...new Set(applied.flat())].sort())
    t.strictSame(await pendingMigrations(pooled(pooler.url), MIGRATIONS), [])
    await requireMigrations(pooled(pooler.url))
  })

  t.test('a server works through it, whatever the database is set to', async (t) => {
    const database = await createTestDatabase()
    await set(
      database.url,
      `${LIMITS} ALTER DATABASE "name" SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE "name" SET DateStyle = 'SQL, DMY';
       ALTER DATABASE "name" SET IntervalStyle = 'sql_standard'; ALTER DATABASE "name" SET bytea_output = 'escape'`,
    )
    // Another client of the same pooler, which must not get our settings.
    const pooler = await startTransactionPooler(t, database.url)
    const other = new pg.Client({ connectionString: pooler.url })
    await other.connect()
    const server = await startServer(t, { databaseUrl: pooled(pooler.url) })
    t.teardown(database.drop)
    const account = await server.createAccount()
    const sessions = await twenty(() => server.login(account))
    for (const { refresh_token } of sessions) {
      t.equal((await refresh(server, refresh_token)).status, 200)
      await server.forgetFamily(refresh_token)
      t.equal((await refresh(server, refresh_token)).status, 200, 'cold')
    }
    const [{ access_token: bearer }] = sessions as [(typeof sessions)[0]]
    const { body } = await server.call('GET', '/auth/sessions', { bearer })
    t.equal(body.sessions.length, 20)
    for (const { created_at, expires_at } of body.sessions) {
      t.ok(Math.abs(Date.parse(created_at) - Date.now()) < 600_000)
      t.ok(Date.parse(expires_at) > Date.now())
    }
    t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
    t.equal((await server.call('POST', '/auth/logout-all', { bearer })).status, 204)
    for (let turn = 0; turn < 6; turn += 1) {
      const { rows } =
        await other.query(`SELECT current_setting('TimeZone') AS zone, current_setting('lock_timeout') AS lock,
        (SELECT count(*)::int FROM pg_prepared_statements) AS prepared,
        (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks`)
      t.strictSame(rows, [{ zone: 'Asia/Tokyo', lock: '2s', prepared: 0, locks: 0 }], 'nothing leaks')
    }
    await other.end()
  })
})
