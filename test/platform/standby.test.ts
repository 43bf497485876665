import { chmod, chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { startPostgres } from '../../src/dev/embedded/postgres.ts'
import { applyMigrations, MIGRATIONS } from '../../src/platform/migrations.ts'
import { becomes } from '../support/eventually.ts'
import { createFaultProxy } from '../support/fault-proxy.ts'
import { startServer, type TestServer } from '../support/server.ts'

const postgresIsOk = async (server: TestServer) =>
  (await server.call('GET', '/readyz')).body.checks.postgres.ok

t.test('a master that comes back as a standby, and another one behind the same name', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-standby-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const dir = join(folder, 'postgres')
  let postgres = await startPostgres({ dir, durable: false })
  t.teardown(() => postgres.stop())
  await applyMigrations(postgres.url, MIGRATIONS)
  const proxy = await createFaultProxy({ target: postgres.url })
  t.teardown(() => proxy.close())
  const server = await startServer(t, { storesFail: true, databaseUrl: proxy.url })
  const account = await server.createAccount()
  await server.login(account)

  await postgres.stop()
  const signal = join(dir, 'data/standby.signal')
  await writeFile(signal, '')
  const { uid, gid } = await stat(join(dir, 'data'))
  await chown(signal, uid, gid)
  postgres = await startPostgres({ dir, durable: false })
  proxy.retarget(postgres.url)
  await becomes(t, async () => !(await postgresIsOk(server)), 'unavailable')
  const client = new pg.Client({ connectionString: proxy.url })
  await client.connect()
  t.strictSame((await client.query('SELECT pg_is_in_recovery() AS standby')).rows, [{ standby: true }])
  await client.end()
  t.equal((await server.post('/auth/login', { ...account, transport: 'body' })).status, 503)
  t.notOk(await postgresIsOk(server), 'it stays unavailable')

  // Another server takes over.
  await rm(signal)
  await postgres.stop()
  postgres = await startPostgres({ dir, durable: false })
  proxy.retarget(postgres.url)
  await becomes(t, () => postgresIsOk(server), 'available again')
  t.equal((await server.post('/auth/login', { ...account, transport: 'body' })).status, 200)
})
