import { randomUUID } from 'node:crypto'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openDatabase, pingDatabase } from '../../src/platform/database.ts'
import { openTestDatabase } from '../support/database.ts'
import { becomes } from '../support/eventually.ts'
import { refresh } from '../support/failover.ts'
import { createFaultProxy } from '../support/fault-proxy.ts'
import { startServer } from '../support/server.ts'

const POOL = `usename = $1 AND query NOT LIKE 'SHOW %'`

/** A server whose connections are those of a role of its own. */
async function startWithRole(t: Test) {
  const { url } = await openTestDatabase(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const role = `role_${randomUUID().replaceAll('-', '')}`
  const database = new URL(url).pathname.slice(1)
  const inFull = (sql: string) =>
    sql.replaceAll('ROLE', `ROLE ${role}`).replaceAll('DATABASE', `DATABASE ${database}`)
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'first'`)
  await admin.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`)
  t.teardown(async () => {
    await admin.query(`DROP OWNED BY ${role}`)
    await admin.query(`DROP ROLE ${role}`)
    await admin.end()
  })
  const own = Object.assign(new URL(url), { username: role, password: 'first' })
  const server = await startServer(t, { databaseUrl: own.href })
  const run = (sql: string) => admin.query(inFull(sql))
  return { server, admin, role, run, owner: await server.createAccount() }
}

/** The heartbeat keeps its connection, as all do that are open when a password is changed. */
async function survives(t: Test, refuse: string, allow: string, why: string) {
  const { server, admin, role, run, owner } = await startWithRole(t)
  const { refresh_token } = await server.login(owner)
  const warm = (await refresh(server, refresh_token)).body

  await run(refuse)
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${POOL}`, [role])
  await becomes(
    t,
    async () => (await admin.query(`SELECT 1 FROM pg_stat_activity WHERE ${POOL}`, [role])).rowCount === 0,
    'no connection is left for requests',
  )
  const calls = [
    () => server.post('/auth/login', { ...owner, transport: 'body' }),
    () => server.post('/auth/register', { ...owner, email: server.freshEmail() }),
    () => server.call('GET', '/auth/sessions', { bearer: warm.access_token }),
  ]
  for (const call of calls) t.match(await call(), { status: 503, body: { code: 'unavailable' } })
  t.equal((await server.call('GET', '/readyz')).body.status, 'degraded')
  t.equal((await refresh(server, warm.refresh_token)).status, 200, 'Redis rotates')

  await run(allow)
  await becomes(t, async () => (await server.call('GET', '/readyz')).body.status === 'ready', 'ready again')
  t.equal((await calls[0]?.())?.status, 200)
  const told = server.logs.join('')
  t.notMatch(told, 'request failed')
  t.notMatch(told, role, 'nothing of what the libraries say')
  await server.close()
  for (const reason of told.match(/"reason":"[^"]*"/g) ?? []) t.match(reason, why)
}

t.test('a password that was changed', (t) =>
  survives(t, `ALTER ROLE PASSWORD 'second'`, `ALTER ROLE PASSWORD 'first'`, '28P01'),
)
t.test('a role that may not log in any more', (t) =>
  survives(t, 'ALTER ROLE NOLOGIN', 'ALTER ROLE LOGIN', '28000'),
)
t.test('a database that the role may not connect to any more', (t) =>
  survives(t, 'REVOKE CONNECT ON DATABASE FROM PUBLIC', 'GRANT CONNECT ON DATABASE TO PUBLIC', '42501'),
)

t.test('without a connection left for the heartbeat, those that requests have are used', async (t) => {
  const { server, admin, role, run, owner } = await startWithRole(t)
  const signIn = () => server.post('/auth/login', { ...owner, transport: 'body' })
  const asked = `SELECT pid FROM pg_stat_activity WHERE usename = $1 AND query LIKE 'SHOW %'`
  const own = async () => (await admin.query<{ pid: number }>(asked, [role])).rows.map(({ pid }) => pid)
  const [heartbeat] = await own()
  t.ok(heartbeat)
  // More connections than the next calls need at once.
  await Promise.all(Array.from({ length: 10 }, signIn))
  await run('ALTER ROLE CONNECTION LIMIT 1')
  await admin.query('SELECT pg_terminate_backend($1)', [heartbeat])
  await becomes(
    t,
    async () => {
      t.equal((await signIn()).status, 200)
      return (await own()).some((pid) => pid !== heartbeat)
    },
    'the heartbeat asks on a connection of requests',
  )
  t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
  await run('ALTER ROLE CONNECTION LIMIT -1')
})

t.test('a process that starts waits longer for a connection than a request does', async (t) => {
  const { url } = await openTestDatabase(t)
  const proxy = await createFaultProxy({ target: url })
  t.teardown(() => proxy.close())
  proxy.delay(400)
  const { db, close } = openDatabase({ url: proxy.url, timeoutMs: 200 })
  t.teardown(close)
  await t.resolves(pingDatabase(db))
})

t.test('a transaction that takes longer than the server allows', async (t) => {
  const first = await startServer(t)
  const owner = await first.createAccount()
  const { databaseUrl } = first
  const admin = new pg.Client({ connectionString: databaseUrl })
  await admin.connect()
  t.teardown(() => admin.end())
  const { rows } = await admin.query(`SELECT current_setting('transaction_timeout', true) AS known`)
  if (rows[0].known === null) return void t.comment('Postgres has no such limit before version 17')
  // Shorter than this server waits for a lock.
  const database = new URL(databaseUrl).pathname.slice(1)
  await admin.query(`ALTER DATABASE ${database} SET transaction_timeout = '1s'`)
  const server = await startServer(t, { databaseUrl })
  const passwords = { current_password: owner.password, new_password: 'another quite long passphrase' }
  const { access_token } = await server.login(owner)
  await admin.query('BEGIN')
  await admin.query('SELECT FROM users FOR UPDATE')
  const answer = await server.call('POST', '/auth/change-password', { body: passwords, bearer: access_token })
  t.match(answer, { status: 503, body: { code: 'unavailable' } })
  t.notMatch(server.logs.join(''), 'request failed')
  await admin.query('ROLLBACK')
})
