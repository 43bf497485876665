import pg from 'pg'
import t from 'tap'
import { createAdministrator, createPerson } from '../support/administrator.ts'
import { patiently } from '../support/patiently.ts'
import { startServer, type TestServer, twenty } from '../support/server.ts'

/** Sessions of Postgres that a node has, besides the one that asks. */
async function connectionsOf({ databaseUrl }: TestServer): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query<{ count: number }>(`SELECT count(*)::int FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
  await client.end()
  return rows[0]?.count ?? 0
}

// The smallest: whatever needs a second connection while it holds one would wait for itself, however often it is tried.
for (const size of [1, 3]) {
  t.test(`with DB_POOL_SIZE=${size} everything works, twenty at once`, async (t) => {
    const server = await startServer(t, { env: { DB_POOL_SIZE: `${size}` } })
    const account = await server.createAccount()
    const administrator = await createAdministrator(server)

    const sessions = await twenty(() => server.login(account))
    t.equal(await connectionsOf(server), size + 2, 'with one for the heartbeat and one for the poll')

    // From the ledger, which Redis has to read.
    for (const { refresh_token: token } of sessions) await server.forgetFamily(token)
    const refreshed = await Promise.all(
      sessions.map(({ refresh_token }) => patiently(() => server.post('/auth/refresh', { refresh_token }))),
    )
    for (const { status } of refreshed) t.equal(status, 200)

    const registered = await twenty(() =>
      patiently(() =>
        server.post('/auth/register', { email: server.freshEmail(), password: server.password }),
      ),
    )
    for (const { status } of registered) t.equal(status, 202)

    const { bearer } = administrator
    const searched = await twenty(() =>
      patiently(() => server.call('GET', `/admin/users?query=${account.email}`, { bearer })),
    )
    for (const { status } of searched) t.equal(status, 200)

    const people = []
    for (let number = 0; number < 20; number += 1) people.push(await createPerson(server))
    const disabled = await Promise.all(
      people.map(({ id }) => patiently(() => server.post(`/admin/users/${id}/disable`, {}, { bearer }))),
    )
    for (const { status } of disabled) t.equal(status, 204)

    const logouts = await Promise.all(
      refreshed.map(({ body }) =>
        patiently(() => server.call('POST', '/auth/logout', { bearer: body.access_token })),
      ),
    )
    for (const { status } of logouts) t.equal(status, 204)
    t.equal(await connectionsOf(server), size + 2)
  })
}
