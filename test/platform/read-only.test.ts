import pg from 'pg'
import t, { type Test } from 'tap'
import { becomes, eventually } from '../support/eventually.ts'
import { insist, refresh } from '../support/failover.ts'
import { startServer, type TestServer } from '../support/server.ts'

const readiness = async (server: TestServer) => (await server.call('GET', '/readyz')).body
const complaints = (server: TestServer) =>
  server.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'postgres is unavailable')

async function administer(server: TestServer, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.databaseUrl })
  await client.connect()
  // The session may be read-only itself.
  await client.query('SET default_transaction_read_only = off')
  await client.query(sql)
  await client.end()
}

/** Nothing is written meanwhile, and nothing is lost. */
async function survives(t: Test, refuse: string, serve: string, why: RegExp) {
  const server = await startServer(t)
  const owner = await server.createAccount()
  const [kept, stolen] = [await server.login(owner), await server.login(owner)]
  const warm = (await refresh(server, kept.refresh_token)).body
  const next = (await refresh(server, stolen.refresh_token)).body
  await server.age(20_000)
  const database = new URL(server.databaseUrl).pathname.slice(1)
  await administer(server, refuse.replace('DATABASE', `DATABASE ${database}`))

  const signInAgain = () => server.post('/auth/login', { ...owner, transport: 'body' })
  const signIn = await signInAgain()
  t.equal(signIn.status, 503)
  t.equal(signIn.body.code, 'unavailable')
  t.ok(Number(signIn.headers.get('retry-after')) > 0)
  // The heartbeat of a session that may still write learns it from those that may not.
  const isUnavailable = async () => {
    t.equal((await signInAgain()).status, 503)
    return !(await readiness(server)).checks.postgres.ok
  }
  await becomes(t, isUnavailable, '/readyz says so')
  t.equal((await readiness(server)).status, 'degraded')
  t.equal((await refresh(server, warm.refresh_token)).status, 200, 'Redis rotates')
  t.equal((await refresh(server, stolen.refresh_token)).status, 503, 'a reuse that cannot be recorded')
  t.equal((await refresh(server, next.refresh_token)).status, 503, 'no token is issued')
  t.equal((await server.post('/auth/register', { ...owner, email: server.freshEmail() })).status, 503)

  await administer(server, serve.replace('DATABASE', `DATABASE ${database}`))
  await becomes(t, async () => (await readiness(server)).status === 'ready', 'ready again')
  const id = stolen.session.id
  await eventually(async () => {
    const found = await server.db.session.findUnique({ where: { id } })
    return found?.endedReason === 'reuse_detected'
  })
  t.equal((await insist(server, warm.refresh_token)).status, 200, 'a retry')
  t.equal((await server.post('/auth/login', { ...owner, transport: 'body' })).status, 200)
  t.equal(complaints(server).length, 1, 'one complaint')
  t.match(complaints(server)[0]?.reason, why)
}

t.test('a database whose default is to only read', (t) =>
  survives(
    t,
    // It holds for new sessions. The heartbeat's is not one of them.
    `ALTER DATABASE SET default_transaction_read_only = on;
     SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE 'SHOW %'`,
    'ALTER DATABASE RESET default_transaction_read_only',
    /read-only|25006/,
  ),
)
for (const [state, why] of [
  ['53100', /^53100$/],
  ['53200', /^53200$/],
]) {
  t.test(`a server that refuses what it has to write (${state})`, (t) =>
    survives(
      t,
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '${state}'; END $$;
       CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sessions EXECUTE FUNCTION refuse();
       CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON registrations EXECUTE FUNCTION refuse()`,
      'DROP FUNCTION refuse CASCADE',
      why as RegExp,
    ),
  )
}
